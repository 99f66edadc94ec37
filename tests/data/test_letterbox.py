"""Letterbox, against the published code's sizes and painted boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spdbuild.data.letterbox import Letterbox, rectangular_sizes

SIDE = st.integers(1, 300)


def test_sizes_and_padding_are_those_of_the_published_code(golden: Path) -> None:
    cases = json.loads((golden / "fixture_letterbox.json").read_text())
    assert len(cases) == 21
    for case in cases:
        given = case["kw"]
        size = given["new_shape"] if isinstance(given["new_shape"], list) else [given["new_shape"]] * 2
        found = Letterbox.fit(
            tuple(case["hw"]), tuple(size), upscale=given.get("scaleup", True), multiple=32 if given["auto"] else None
        )
        spare = [found.target[1] - found.resized[1], found.target[0] - found.resized[0]]
        assert list(found.target) == case["out"]
        assert [found.gain] * 2 == case["ratio"]
        assert [side / 2 for side in spare] == case["pad_wh"]
        assert found.left == round(spare[0] / 2 - 0.1)
        assert found.top == round(spare[1] / 2 - 0.1)


def test_a_painted_box_is_where_the_mapped_box_says() -> None:
    image = torch.zeros(3, 60, 90, dtype=torch.uint8)
    image[:, 20:40, 30:75] = 255
    letterbox = Letterbox.fit((60, 90), (128, 120))
    inside = letterbox.apply(image)
    assert inside.shape == (3, 128, 120)
    rows, columns = (inside[0] > 127).any(dim=1).nonzero()[:, 0], (inside[0] > 127).any(dim=0).nonzero()[:, 0]
    painted = torch.stack((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    assert letterbox.scale == (120 / 90, 80 / 60)
    # A pixel of the target is 3/4 of one of the source.
    assert (letterbox.to_source(painted.float()) - torch.tensor([30.0, 20.0, 75.0, 40.0])).abs().max() <= 0.75


def test_padding_has_the_fill_value_and_an_image_of_the_right_size_stays() -> None:
    image = torch.full((1, 4, 8), 7, dtype=torch.uint8)
    inside = Letterbox.fit((4, 8), (8, 8)).apply(image, fill=50)
    assert inside[0, :, 0].tolist() == [50, 50, 7, 7, 7, 7, 50, 50]
    torch.testing.assert_close(Letterbox.fit((4, 8), (4, 8)).apply(image), image)


@given(height=SIDE, width=SIDE, target_height=SIDE, target_width=SIDE, upscale=st.booleans())
def test_boxes_come_back_and_the_image_fills_its_place(
    height: int, width: int, target_height: int, target_width: int, upscale: bool
) -> None:
    letterbox = Letterbox.fit((height, width), (target_height, target_width), upscale=upscale)
    whole = torch.tensor([[0.0, 0.0, width, height]], dtype=torch.float64)
    rows, columns = letterbox.resized
    edges = [letterbox.left, letterbox.top, letterbox.left + columns, letterbox.top + rows]
    placed = torch.tensor([edges], dtype=torch.float64)
    assert letterbox.target == (target_height, target_width)
    assert 0 <= letterbox.left <= target_width - columns
    assert 0 <= letterbox.top <= target_height - rows
    torch.testing.assert_close(letterbox.to_source(placed), whole)


def test_boxes_over_the_padding_are_clipped_to_the_image() -> None:
    letterbox = Letterbox.fit((50, 100), (100, 100))
    back = letterbox.to_source(torch.tensor([[-10.0, 0.0, 120.0, 100.0]]))
    assert back.tolist() == [[0, 0, 100, 50]]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(640, 640)], [(672, 672)]),
        ([(480, 640), (240, 320)], [(512, 672)]),
        ([(640, 320), (640, 480)], [(672, 512)]),
        ([(480, 640), (640, 480)], [(672, 672)]),
        ([(640, 320), (320, 640), (320, 640)], [(352, 672), (672, 352)]),
    ],
    ids=["square", "wide", "tall", "wide and tall", "sorted by aspect"],
)
def test_rectangular_batches_have_the_published_sizes(
    sizes: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    order, shapes = rectangular_sizes(sizes, image_size=640, batch=2)
    assert sorted(order) == list(range(len(sizes)))
    assert shapes == expected


def test_rectangular_batches_without_padding_are_tight() -> None:
    assert rectangular_sizes([(480, 640)], 640, 1, pad=0)[1] == [(480, 640)]

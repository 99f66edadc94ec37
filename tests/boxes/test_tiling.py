"""Tiles over an image, and what is found in them put together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spdbuild.boxes.tiling import Tile, merge_detections, tiles
from spdbuild.errors import ArgumentError

SIDE = st.integers(1, 300)


@settings(max_examples=40)
@given(height=SIDE, width=SIDE, size=st.integers(10, 350), overlap=st.floats(0, 0.8))
def test_windows_lie_in_the_image_cover_it_and_overlap(height: int, width: int, size: int, overlap: float) -> None:
    covered = torch.zeros(height, width, dtype=torch.bool)
    found = tiles(height, width, size, overlap)
    for tile in found:
        assert tile.left + tile.width <= width
        assert tile.top + tile.height <= height
        assert (tile.width, tile.height) == (min(size, width), min(size, height))
        covered[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = True
    assert covered.all()
    lefts = sorted({tile.left for tile in found})
    assert all(left + size - following >= overlap * size - 1 for left, following in zip(lefts, lefts[1:], strict=False))


def test_an_image_smaller_than_the_window_is_one_window() -> None:
    assert tiles(50, 80, size=100) == [Tile(0, 0, 80, 50)]


def test_an_overlap_of_the_whole_window_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"overlap must be at least 0 and less than 1, got 1\.0"):
        tiles(50, 80, size=100, overlap=1.0)


def seen_in(tile: Tile, objects: Tensor, random: torch.Generator) -> Tensor:
    """What a perfect detector sees of the objects [B, 6] in a tile: all parts larger than a fifth, in any scores."""
    low = torch.tensor([tile.left, tile.top], dtype=torch.float64)
    limit = torch.tensor([tile.width, tile.height], dtype=torch.float64)
    corners = objects[:, :4].view(-1, 2, 2)
    clipped = torch.minimum((corners - low).clamp(min=0), limit)
    visible = (clipped[:, 1] - clipped[:, 0]).prod(1) / (corners[:, 1] - corners[:, 0]).prod(1) > 0.2
    rows = torch.cat((clipped.reshape(-1, 4), objects[:, 4:]), dim=1)[visible]
    parts = (clipped.reshape(-1, 4)[visible] + low.repeat(2) != objects[visible, :4]).any(dim=1)
    rows[parts, 4] = torch.rand(int(parts.sum()), dtype=torch.float64, generator=random) * 0.5 + 0.5
    return rows


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), agnostic=st.booleans())
def test_every_object_is_found_once_and_whole(seed: int, agnostic: bool) -> None:
    random = torch.Generator().manual_seed(seed)
    cells = torch.randperm(100, generator=random)[:30]
    low = torch.stack((cells % 10 * 60, cells // 10 * 50), dim=1) + torch.rand(30, 2, generator=random) * 20
    size = torch.rand(30, 2, generator=random) * 24 + 4
    labels = torch.randint(3, (30, 1), generator=random)
    scores = torch.rand(30, 1, generator=random) * 0.5 + 0.4
    objects = torch.cat((low, low + size, scores, labels), dim=1).double()
    parts = tiles(500, 600, size=160, overlap=0.25)
    found = [seen_in(tile, objects, random) for tile in parts]
    assert sum(map(len, found)) > len(objects)
    merged = merge_detections(found, parts, 500, 600, class_agnostic=agnostic)
    torch.testing.assert_close(merged, objects[objects[:, 4].argsort(descending=True)])


def test_parts_of_an_object_that_no_window_sees_whole_stay() -> None:
    parts = [Tile(0, 0, 100, 100), Tile(80, 0, 100, 100)]
    found = [torch.tensor([[10.0, 20, 100, 60, 0.9, 0]]), torch.tensor([[0.0, 20, 70, 60, 0.8, 0]])]
    merged = merge_detections(found, parts, height=100, width=180)
    assert merged[:, :4].tolist() == [[10, 20, 100, 60], [80, 20, 150, 60]]


def test_a_part_of_another_class_stays_unless_classes_do_not_matter() -> None:
    parts = [Tile(0, 0, 100, 100), Tile(60, 0, 100, 100)]
    found = [torch.tensor([[80.0, 20, 100, 60, 0.9, 0]]), torch.tensor([[20.0, 20, 60, 60, 0.8, 1]])]
    assert len(merge_detections(found, parts, height=100, width=160)) == 2
    assert merge_detections(found, parts, height=100, width=160, class_agnostic=True)[:, 5].tolist() == [1]


def test_nothing_found_gives_no_detections() -> None:
    merged = merge_detections([torch.zeros(0, 6)] * 2, [Tile(0, 0, 9, 9), Tile(5, 0, 9, 9)], 9, 14)
    assert merged.shape == (0, 6)

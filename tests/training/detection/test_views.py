"""Boxes from flipped and scaled views lie where those of the image itself do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

import spdbuild
from spdbuild.errors import ArgumentError
from spdbuild.metrics.nms import NmsOptions, select_detections
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.views import Detector, ViewOptions

STRIDE, SIDE = 8, 8
NMS = NmsOptions(min_score=0.5, max_iou=0.45)


class Finder(nn.Module):
    """Gives a box of SIDE pixels in the middle of each cell that is not black."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Detect([1], 1, [[[SIDE, SIDE]]], [STRIDE])
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        self.seen.append(tuple(images.shape[2:]))
        lit = max_pool2d(images.mean(1, keepdim=True), STRIDE)
        level = torch.zeros(*lit.shape, 6)
        level[..., 4] = level[..., 5] = torch.where(lit > 0.4, 10.0, -10.0)
        return [level]


def image(*cells: tuple[int, int], height: int = 64, width: int = 96) -> Tensor:
    """White cells, by row and column, on black."""
    pixels = torch.zeros(1, 3, height, width)
    for row, column in cells:
        pixels[..., STRIDE * row : STRIDE * (row + 1), STRIDE * column : STRIDE * (column + 1)] = 1
    return pixels


def boxes(options: ViewOptions, given: Tensor) -> tuple[Tensor, Finder]:
    """Boxes [B, 4] with an object: centre, width and height, in the order of the views."""
    finder = Finder()
    found = Detector(finder, options)(given)[0]
    return found[found[:, 4] > 0.5][:, :4], finder


@pytest.mark.parametrize(("horizontal", "vertical"), [(True, False), (False, True), (True, True)])
def test_a_flipped_view_finds_the_same_boxes(horizontal: bool, vertical: bool) -> None:
    given = image((1, 2), (6, 11))
    once, _ = boxes(ViewOptions(), given)
    found, finder = boxes(ViewOptions(horizontal, vertical), given)
    assert once.tolist() == [[20, 12, 8, 8], [92, 52, 8, 8]]
    views = len(finder.seen)
    assert views == 2 ** (horizontal + vertical)
    assert set(map(tuple, found.tolist())) == set(map(tuple, once.tolist()))
    assert len(found) == views * len(once)


def test_a_view_of_twice_the_size_finds_a_box_of_half_the_size_at_its_place() -> None:
    found, finder = boxes(ViewOptions(scales=(2.0,)), image((1, 2)))
    assert finder.seen == [(128, 192)]
    # The four cells of a quarter that the white one covers, and no others: their common middle is its own.
    middle = found[(found[:, 0] - 20).abs() + (found[:, 1] - 12).abs() <= 4.001]
    assert set(middle[:, 2:].flatten().tolist()) == {4}
    assert middle[:, :2].mean(dim=0).tolist() == [20, 12]


def test_sizes_are_whole_strides_and_boxes_follow_each_side() -> None:
    # 0.55 of 64 and 96 are 35.2 and 52.8: 4 and 7 strides.
    given = image((3, 5))
    found, finder = boxes(ViewOptions(horizontal_flip=True, scales=(0.55,)), given)
    assert finder.seen == [(32, 56)] * 2
    assert found[:, 2].tolist() == pytest.approx([8 * 96 / 56] * len(found))
    assert found[:, 3].tolist() == pytest.approx([8 * 64 / 32] * len(found))
    straight, turned = found.chunk(2)
    torch.testing.assert_close(straight.sort(dim=0).values, turned.sort(dim=0).values, atol=8 * 96 / 56, rtol=0)


def test_every_flip_is_seen_in_every_size_and_merged() -> None:
    options = ViewOptions(horizontal_flip=True, scales=(1.0, 0.5, 1.5))
    assert options.views == 6
    finder = Finder()
    found = Detector(finder, options)(image((2, 4)))
    assert finder.seen == [(64, 96)] * 2 + [(32, 48)] * 2 + [(96, 144)] * 2
    kept = select_detections(found, NMS)[0]
    assert any(box == [32, 16, 40, 24] for box in kept[:, :4].tolist())


def test_scales_are_positive_numbers() -> None:
    with pytest.raises(ArgumentError, match=r"scales must be between 0\.1 and 10, got 0"):
        ViewOptions(scales=(1.0, 0))
    with pytest.raises(ArgumentError, match="scales has no entry"):
        ViewOptions(scales=())
    with pytest.raises(ArgumentError, match=r"scales has an entry twice: 1, 0\.5, 1"):
        ViewOptions(scales=(1.0, 0.5, 1.0))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (ViewOptions(), []),
        (ViewOptions(scales=(1.25,)), ["1 view of each image: scales 1.25"]),
        (ViewOptions(True, True, (0.83, 1)), ["8 views of each image: horizontal and vertical flip, scales 0.83, 1"]),
    ],
)
def test_views_other_than_the_image_itself_are_told(options: ViewOptions, told: list[str]) -> None:
    assert options.told == told


def test_evaluation_says_which_views_there_were(tmp_path: Path) -> None:
    recipe = {
        "architecture": "yolov5",
        "variant": "n",
        "input": [3, 64, 64],
        "data": {"name": "tiny_objects", "images": 4, "size": 64},
        "batch": 4,
        "epochs": 1,
        "workers": 0,
    }
    result = spdbuild.train(recipe, runs=tmp_path, quiet=True)
    found = spdbuild.evaluate(result.folder, {"task.tta": {"horizontal_flip": True, "scales": [1, 1.5]}})
    assert found.evaluation.protocol.endswith("; 4 views of each image: horizontal flip, scales 1, 1.5")
    assert found.speed is not None

"""Pictures looked at whole and in windows, by a network that finds white squares of 8 x 8 pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from spdbuild.metrics.nms import NmsOptions
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.options import SeeingOptions
from spdbuild.training.detection.seeing import Seer
from spdbuild.training.detection.views import Detector, ViewOptions

CORNERS = [(16, 24), (200, 40), (96, 104), (248, 152), (120, 24)]
NMS = NmsOptions(min_score=0.5, max_iou=0.45)


class Finder(nn.Module):
    """Gives a box of 8 x 8 pixels around each cell of 8 x 8 that is white all over."""

    def __init__(self) -> None:
        super().__init__()
        self.head = Detect([1], 1, [[[8, 8]]], [8])
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        self.seen.append(tuple(images.shape))
        white = functional.avg_pool2d(images.mean(1, keepdim=True), 8)  # [N, 1, rows, columns]
        level = torch.zeros(*white.shape, 6)
        level[..., 4] = level[..., 5] = torch.where(white > 0.99, 10.0, -10.0)
        return [level]


def seeing(finder: Finder) -> Detector:
    return Detector(finder, ViewOptions())


def picture() -> Tensor:
    pixels = torch.zeros(3, 160, 256, dtype=torch.uint8)
    for left, top in CORNERS:
        pixels[:, top : top + 8, left : left + 8] = 255
    return pixels


def corners(found: Tensor) -> list[tuple[int, int]]:
    return sorted((round(left), round(top)) for left, top in found[:, :2].tolist())


def test_a_picture_of_the_training_size_is_seen_as_it_is() -> None:
    finder = Finder()
    found = Seer(seeing(finder), SeeingOptions(NMS), 256, 4).see(picture())
    assert corners(found) == sorted(CORNERS)
    torch.testing.assert_close(found[:, 2:4] - found[:, :2], torch.full((5, 2), 8.0))
    # Padded to a multiple of 32, and no further.
    assert finder.seen == [(1, 3, 160, 256)]


def test_windows_find_what_scaling_down_would_lose() -> None:
    assert len(Seer(seeing(Finder()), SeeingOptions(NMS), 64, 4).see(picture())) == 0
    finder = Finder()
    found = Seer(seeing(finder), SeeingOptions(NMS, tile=64, overlap=0.25), 64, 4).see(picture())
    # Windows start at multiples of 48 across and of 48 down: 16 cells of 8 pixels overlap, and nothing is found twice.
    assert corners(found) == sorted(CORNERS)
    assert finder.seen == [(4, 3, 64, 64)] * 3 + [(3, 3, 64, 64)]


def test_the_limit_of_boxes_is_that_of_a_window_and_its_reaching_is_noted() -> None:
    at_most_2, at_most_1 = NmsOptions(0.5, 0.45, max_detections=2), NmsOptions(0.5, 0.45, max_detections=1)
    seer = Seer(seeing(Finder()), SeeingOptions(at_most_1, tile=64, overlap=0.25), 64, 4)
    assert corners(seer.see(picture())) == sorted(CORNERS)
    assert seer.limited
    enough = Seer(seeing(Finder()), SeeingOptions(at_most_2, tile=64, overlap=0.25), 64, 4)
    enough.see(picture())
    assert not enough.limited


def test_a_picture_no_larger_than_a_window_is_seen_whole() -> None:
    finder = Finder()
    Seer(seeing(finder), SeeingOptions(NMS, tile=256), 256, 4).see(picture())
    assert len(finder.seen) == 1


def test_a_picture_is_looked_at_whole_behind_its_windows() -> None:
    finder = Finder()
    Seer(seeing(finder), SeeingOptions(NMS, tile=128, overlap=0.25, whole=True), 256, 4).see(picture())
    assert finder.seen == [(4, 3, 256, 256), (2, 3, 256, 256), (1, 3, 160, 256)]

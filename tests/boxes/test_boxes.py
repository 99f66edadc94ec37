"""Formats of boxes and their agreement, against torchvision and the published code's numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, box_iou, complete_box_iou_loss

from spdbuild.boxes import boxes

Convert = Callable[[Tensor], Tensor]


@pytest.fixture
def boxes_xyxy() -> Tensor:
    low = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 50
    size = torch.rand(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) * 40 + 1
    return torch.cat((low, low + size), dim=1)


@pytest.mark.parametrize(
    ("convert", "source", "target"),
    [
        (boxes.cxcywh_to_xyxy, "cxcywh", "xyxy"),
        (boxes.xyxy_to_xywh, "xyxy", "xywh"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_conversion_is_that_of_torchvision(convert: Convert, source: str, target: str, boxes_xyxy: Tensor) -> None:
    given = box_convert(boxes_xyxy, "xyxy", source)
    torch.testing.assert_close(convert(given), box_convert(given, source, target))


def test_the_width_goes_to_x() -> None:
    pixels = boxes.fractions_to_pixels(torch.tensor([[0.5, 0.25, 0.1, 0.2]]), height=200, width=100)
    assert pixels.tolist() == [[50, 50, 10, 40]]


def test_a_box_is_clipped_to_the_image_and_one_outside_has_no_area() -> None:
    clipped = boxes.clip_xyxy(torch.tensor([[-5.0, 10.0, 30.0, 90.0], [70.0, 0.0, 80.0, 9.0]]), height=60, width=40)
    assert clipped.tolist() == [[0, 10, 30, 60], [40, 0, 40, 9]]
    assert boxes.area_xyxy(clipped).tolist() == [1500, 0]


def test_iou_of_each_with_each_is_that_of_torchvision(boxes_xyxy: Tensor) -> None:
    iou = boxes.iou_xyxy(boxes_xyxy[:7], boxes_xyxy)
    assert iou.shape == (7, 20)
    torch.testing.assert_close(iou, box_iou(boxes_xyxy[:7], boxes_xyxy))


def test_two_empty_boxes_agree_in_nothing() -> None:
    assert boxes.iou_xyxy(torch.zeros(1, 4), torch.zeros(1, 4)).item() == 0


def test_paired_agreement_is_that_of_the_published_code(golden: Path) -> None:
    pairs = np.load(golden / "fixture_ciou.npz")
    a, b = torch.from_numpy(pairs["a"]), torch.from_numpy(pairs["b"])
    np.testing.assert_allclose(boxes.paired_iou_cxcywh(a, b), pairs["iou"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(boxes.paired_ciou_cxcywh(a, b), pairs["ciou"], rtol=0, atol=1e-12)


def test_ciou_and_its_gradient_are_those_of_torchvision(boxes_xyxy: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "_EPSILON", 0)
    a = box_convert(boxes_xyxy[:10], "xyxy", "cxcywh").requires_grad_()
    b = box_convert(boxes_xyxy[10:], "xyxy", "cxcywh")
    ours = 1 - boxes.paired_ciou_cxcywh(a, b)
    theirs = complete_box_iou_loss(boxes.cxcywh_to_xyxy(a), boxes.cxcywh_to_xyxy(b), eps=0)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(loss.sum(), a)[0] for loss in (ours, theirs)))

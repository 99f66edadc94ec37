"""Boxes as tensors [..., 4]: their formats, conversions named by both formats, and the overlap of boxes.

xyxy     left, top, right, bottom
xywh     left, top, width, height (COCO's files)
cxcywh   centre x, centre y, width, height (YOLO's files, as fractions of the image; the loss, in grid cells)

The unit is the caller's: pixels, fractions or grid cells; a function that needs one says so.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Added to heights and divisors, as the published loss does, so that gradients stay finite.
_EPSILON = 1e-7


def cxcywh_to_xyxy(boxes_cxcywh: Tensor) -> Tensor:
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def xyxy_to_xywh(boxes_xyxy: Tensor) -> Tensor:
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return torch.cat((low, high - low), dim=-1)


def fractions_to_pixels(boxes: Tensor, height: int, width: int) -> Tensor:
    """Boxes in fractions of the image, converted to pixels; the format stays the same."""
    return boxes * boxes.new_tensor((width, height, width, height))


def clip_xyxy(boxes_xyxy: Tensor, height: int, width: int) -> Tensor:
    """The part of each box that lies within an image of `height` x `width` pixels; area 0 if none does."""
    x, y = boxes_xyxy[..., 0::2].clamp(0, width), boxes_xyxy[..., 1::2].clamp(0, height)
    return torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), dim=-1)


def area_xyxy(boxes_xyxy: Tensor) -> Tensor:
    """[..., 4] -> [...]."""
    return _product((boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).clamp(min=0))


def intersection_xyxy(a: Tensor, b: Tensor) -> Tensor:
    """Pairwise intersection areas of two sets of boxes: [A, 4], [B, 4] -> [A, B]."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    return _product((high - low).clamp(min=0))


def iou_xyxy(a: Tensor, b: Tensor) -> Tensor:
    """Pairwise intersection over union: [A, 4], [B, 4] -> [A, B]; 0 where both boxes are empty."""
    shared = intersection_xyxy(a, b)
    union = area_xyxy(a)[:, None] + area_xyxy(b)[None] - shared
    return torch.where(union > 0, shared / union, 0)


def paired_iou_cxcywh(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of a[i] with b[i]: [..., 4], [..., 4] -> [...].

    _EPSILON is added to both heights and to the union.
    """
    high = torch.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    low = torch.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    shared = _product((high - low).clamp(min=0))
    area_a, area_b = (boxes[..., 2] * (boxes[..., 3] + _EPSILON) for boxes in (a, b))
    return shared / (area_a + area_b - shared + _EPSILON)


def paired_ciou_cxcywh(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of a[i] with b[i], at most 1 and above -2: [..., 4], [..., 4] -> [...].

        CIoU = IoU - distance^2 / diagonal^2 - alpha * v
        v = 4 / pi^2 * (atan(w_b / h_b) - atan(w_a / h_a))^2,   alpha = v / (1 - IoU + v), held constant in the gradient

    distance: between the centres; diagonal: of the smallest box around both.

    Source: Zheng et al. 2020, "Distance-IoU Loss", arXiv:1911.08287, section 3.3.
    """
    iou = paired_iou_cxcywh(a, b)
    low = torch.minimum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    high = torch.maximum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    diagonal = (high - low).square().sum(dim=-1) + _EPSILON
    distance = (b[..., :2] - a[..., :2]).square().sum(dim=-1)
    angle = torch.atan(b[..., 2] / (b[..., 3] + _EPSILON)) - torch.atan(a[..., 2] / (a[..., 3] + _EPSILON))
    v = 4 / math.pi**2 * angle.square()
    with torch.no_grad():
        alpha = v / (v - iou + (1 + _EPSILON))
    return iou - distance / diagonal - alpha * v


def _product(sizes: Tensor) -> Tensor:
    """Width times height; the gradient of `prod` would look for zeros and so synchronize with the device."""
    return sizes[..., 0] * sizes[..., 1]

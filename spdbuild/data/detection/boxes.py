"""Boxes as arrays [B, 4] in pixels: left, top, right, bottom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def clipped(boxes_xyxy: Boxes, width: float, height: float) -> Boxes:
    """The part of each box within an image of that size."""
    # np.clip itself costs more than the few numbers of an image.
    return np.minimum(np.maximum(boxes_xyxy, 0), (width, height, width, height))


def shared_with(box: NDArray[np.float64], boxes_xyxy: Boxes) -> Boxes:
    """The part of each box within one box [4]; a box without such a part ends before it begins."""
    low, high = np.maximum(boxes_xyxy[:, :2], box[:2]), np.minimum(boxes_xyxy[:, 2:], box[2:])
    return np.concatenate((low, high), axis=1)


def areas(boxes_xyxy: Boxes) -> NDArray[np.float64]:
    """float64 [B]; 0 where a box ends before it begins."""
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    area: NDArray[np.float64] = sides[:, 0] * sides[:, 1]
    return area

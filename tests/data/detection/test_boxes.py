"""Boxes as arrays, against those as tensors."""

from __future__ import annotations

import numpy as np
import torch

from spdbuild.boxes import boxes as tensors
from spdbuild.data.detection.boxes import areas, clipped, shared_with


def test_arrays_and_tensors_have_the_same_rules() -> None:
    random = np.random.default_rng(0)
    low = random.uniform(-20, 80, (200, 2))
    boxes = np.concatenate((low, low + random.uniform(0, 60, (200, 2))), axis=1)
    tensor = torch.from_numpy(boxes)
    np.testing.assert_array_equal(clipped(boxes, 64, 48)[:9], np.clip(boxes[:9], 0, (64, 48, 64, 48)))
    np.testing.assert_allclose(areas(clipped(boxes, 64, 48)), tensors.area_xyxy(tensors.clip_xyxy(tensor, 48, 64)))
    shared = tensors.intersection_xyxy(tensor[:1], tensor)[0]
    np.testing.assert_allclose(areas(shared_with(boxes[0], boxes)), shared)
    assert (shared == 0).any()
    assert (shared > 0).any()

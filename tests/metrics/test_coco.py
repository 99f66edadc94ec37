"""COCO's formats of detections."""

from __future__ import annotations

import json

import numpy as np
import torch

from spdbuild.metrics.coco import detection_rows, predictions_json


def test_detections_become_rows_with_the_category_of_their_class() -> None:
    rows = detection_rows(7, torch.tensor([[1.0, 2.0, 4.0, 8.0, 0.5, 1.0]]), category_ids=[5, 13])
    assert rows.dtype == np.float64
    assert rows.tolist() == [[7, 1, 2, 3, 6, 0.5, 13]]
    assert detection_rows(7, torch.zeros(0, 6), category_ids=[5, 13]).shape == (0, 7)


def test_rows_hold_the_numbers_of_the_detections_to_the_last_digit() -> None:
    found = torch.tensor([[0.1, 0.2, 1000.3, 20.4, 0.7, 0]], dtype=torch.float64)
    expected = [[2**40 + 1, 0.1, 0.2, 1000.3 - 0.1, 20.4 - 0.2, 0.7, 3]]
    assert detection_rows(2**40 + 1, found, category_ids=[3]).tolist() == expected


def test_predictions_are_rounded() -> None:
    text = predictions_json(np.array([[139, 1.23456789, 2.0, 3.14159265, 4.5, 0.123456789, 62]]))
    expected = {"image_id": 139, "category_id": 62, "bbox": [1.234568, 2.0, 3.141593, 4.5], "score": 0.12345679}
    assert json.loads(text) == [expected]

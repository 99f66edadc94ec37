"""COCO's formats of detections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spdbuild.errors import DataError
from spdbuild.metrics.coco import detection_rows, predictions_json, read_predictions


def test_detections_become_rows_with_the_category_of_their_class() -> None:
    rows = detection_rows(7, torch.tensor([[1.0, 2.0, 4.0, 8.0, 0.5, 1.0]]), category_ids=[5, 13])
    assert rows.dtype == np.float64
    assert rows.tolist() == [[7, 1, 2, 3, 6, 0.5, 13]]
    assert detection_rows(7, torch.zeros(0, 6), category_ids=[5, 13]).shape == (0, 7)


def test_predictions_are_rounded_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "predictions.json"
    file.write_text(predictions_json(np.array([[139, 1.23456, 2.0, 3.14159, 4.5, 0.1234567, 62]])))
    expected = {"image_id": 139, "category_id": 62, "bbox": [1.235, 2.0, 3.142, 4.5], "score": 0.12346}
    assert json.loads(file.read_text()) == [expected]
    assert read_predictions(file).tolist() == [[139, 1.235, 2.0, 3.142, 4.5, 0.12346, 62]]


@pytest.mark.parametrize("text", ["{", "5", '[{"bbox": [1, 2, 3, 4]}]', '[{"image_id": 1, "bbox": [1]}]'])
def test_what_is_no_list_of_detections_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "predictions.json"
    file.write_text(text)
    with pytest.raises(DataError, match="is not a list of detections in COCO's format"):
        read_predictions(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.json: cannot be read: No such file"):
        read_predictions(tmp_path / "absent.json")

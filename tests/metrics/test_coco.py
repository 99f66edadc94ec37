"""COCO's formats of ground truth and detections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spdbuild.errors import DataError
from spdbuild.metrics.coco import (
    COCO_CATEGORY_IDS,
    ImageTruth,
    detection_rows,
    ground_truth_dict,
    read_predictions,
    write_predictions,
)
from spdbuild.metrics.detection import evaluate_detections

IMAGES = [
    ImageTruth(4, 100, 200, torch.tensor([[10.0, 20.0, 50.0, 80.0]]), torch.tensor([1]), areas=torch.tensor([900.0])),
    ImageTruth(9, 50, 60, torch.tensor([[0.0, 0.0, 8.0, 4.0]] * 2), torch.tensor([0, 1]), torch.tensor([True, False])),
]


def test_a_data_set_becomes_a_coco_dictionary() -> None:
    assert ground_truth_dict(IMAGES, ["cat", "dog"], [5, 8]) == {
        "images": [{"id": 4, "height": 100, "width": 200}, {"id": 9, "height": 50, "width": 60}],
        "categories": [{"id": 5, "name": "cat"}, {"id": 8, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 4, "category_id": 8, "bbox": [10, 20, 40, 60], "area": 900, "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 5, "bbox": [0, 0, 8, 4], "area": 32, "iscrowd": 1},
            {"id": 3, "image_id": 9, "category_id": 8, "bbox": [0, 0, 8, 4], "area": 32, "iscrowd": 0},
        ],
    }


def test_the_labels_as_detections_are_perfect() -> None:
    truth = ground_truth_dict(IMAGES, ["cat", "dog"])
    rows = [
        detection_rows(
            image.image_id,
            torch.cat((image.boxes_xyxy, torch.ones(len(image.labels), 1), image.labels[:, None]), dim=1),
            category_ids=[1, 2],
        )
        for image in IMAGES
    ]
    assert evaluate_detections(truth, np.concatenate(rows)).ap == 1


def test_detections_become_rows_with_the_category_of_their_class() -> None:
    rows = detection_rows(7, torch.tensor([[1.0, 2.0, 4.0, 8.0, 0.5, 11.0]]), COCO_CATEGORY_IDS)
    assert rows.dtype == np.float64
    assert rows.tolist() == [[7, 1, 2, 3, 6, 0.5, 13]]
    assert detection_rows(7, torch.zeros(0, 6), COCO_CATEGORY_IDS).shape == (0, 7)


def test_predictions_are_written_rounded_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "predictions.json"
    write_predictions(file, np.array([[139, 1.23456, 2.0, 3.14159, 4.5, 0.1234567, 62]]))
    expected = {"image_id": 139, "category_id": 62, "bbox": [1.235, 2.0, 3.142, 4.5], "score": 0.12346}
    assert json.loads(file.read_text()) == [expected]
    assert read_predictions(file).tolist() == [[139, 1.235, 2.0, 3.142, 4.5, 0.12346, 62]]
    assert [entry.name for entry in tmp_path.iterdir()] == ["predictions.json"]


@pytest.mark.parametrize("text", ["{", "5", '[{"bbox": [1, 2, 3, 4]}]', '[{"image_id": 1, "bbox": [1]}]'])
def test_what_is_no_list_of_detections_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "predictions.json"
    file.write_text(text)
    with pytest.raises(DataError, match="is not a list of detections in COCO's format"):
        read_predictions(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.json: cannot be read: No such file"):
        read_predictions(tmp_path / "absent.json")

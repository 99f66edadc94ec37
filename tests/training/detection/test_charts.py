"""Charts of an evaluation of a detector."""

from __future__ import annotations

import numpy as np
import pytest

from spdbuild.metrics.curves import score_curves
from spdbuild.metrics.detection import evaluate_detections
from spdbuild.training.detection.charts import charts_of

CURVES = score_curves(np.array([True, False]), np.array([0.8, 0.5]), np.zeros(2), np.zeros(2))


def truth_of(classes: int) -> dict[str, list[dict[str, object]]]:
    """An image with one object of each class, side by side."""
    boxes = [{"image_id": 1, "category_id": k, "bbox": [40 * k, 0, 32, 32]} for k in range(classes)]
    return {
        "images": [{"id": 1}],
        "categories": [{"id": k, "name": f"class {k}"} for k in range(classes)],
        "annotations": boxes,  # type: ignore[dict-item]
    }


def test_each_class_has_a_curve_with_its_ap50_the_best_first() -> None:
    found = np.array([[1, 80, 0, 32, 32, 0.9, 2], [1, 0, 40, 32, 32, 0.8, 0], [1, 0, 0, 32, 32, 0.7, 0]], float)
    chart = charts_of(evaluate_detections(truth_of(3), found), CURVES)["precision_over_recall"]
    assert list(chart.lines) == ["mean of 3  0.500", "class 2  1.000", "class 0  0.500", "class 1  0.000"]
    assert [line.thick for line in chart.lines.values()] == [True, False, False, False]
    half = chart.lines["class 0  0.500"]
    assert np.mean(half.y) == pytest.approx(0.5)
    assert (chart.x_name, chart.y_name) == ("recall", "precision")


def test_of_many_classes_the_best_and_the_worst_are_shown() -> None:
    found = np.array([[1, 40 * k, 0, 32, 32, 0.9, k] for k in range(11)], float)
    chart = charts_of(evaluate_detections(truth_of(25), found), CURVES)["precision_over_recall"]
    shown = [name.split()[-1] for name in chart.lines]
    assert shown == ["0.440", *["1.000"] * 10, *["0.000"] * 10]
    assert "10 best" in chart.note
    assert "of 25" in chart.note


def test_there_is_no_precision_where_nothing_is_detected() -> None:
    empty = evaluate_detections(truth_of(1), np.zeros((0, 7)))
    lines = charts_of(empty, CURVES)["metrics_over_score"].lines
    precision = np.array(lines["precision"].y, float)
    recall = np.array(lines["recall"].y, float)
    above = CURVES.scores > 0.8
    assert np.isnan(precision[above]).all()
    assert precision[~above][-1] == pytest.approx(1, abs=1e-3)
    assert not recall[above].any()


def test_data_without_objects_has_no_charts() -> None:
    assert charts_of(evaluate_detections({**truth_of(1), "annotations": []}, np.zeros((0, 7))), CURVES) == {}

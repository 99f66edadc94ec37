"""Curves over the score, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from spdbuild.metrics.curves import precision_and_recall, score_curves

CORRECT = np.array([True, False, True, True, False])
SCORES = np.array([0.9, 0.8, 0.6, 0.4, 0.2])
PREDICTED = np.zeros(5)


@pytest.fixture
def tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves over 0, 0.1, ..., 1."""
    monkeypatch.setattr("spdbuild.metrics.curves._SAMPLES", 11)


def test_precision_and_recall_after_each_detection() -> None:
    precision, recall = precision_and_recall(CORRECT, objects=4)
    assert precision.tolist() == [1, 1 / 2, 2 / 3, 3 / 4, 3 / 5]
    assert recall.tolist() == [1 / 4, 1 / 4, 2 / 4, 3 / 4, 3 / 4]


@pytest.mark.usefixtures("tenths")
def test_curves_pass_through_the_detections_and_are_linear_between() -> None:
    curves = score_curves(CORRECT, SCORES, PREDICTED, labels=np.zeros(4))
    np.testing.assert_allclose(curves.scores, np.arange(11) / 10)
    expected = [0.6, 0.6, 0.6, 0.675, 0.75, (0.75 + 2 / 3) / 2, 2 / 3, (2 / 3 + 0.5) / 2, 0.5, 1, 1]
    np.testing.assert_allclose(curves.precision[0], expected)
    np.testing.assert_allclose(curves.recall[0, [0, 4, 6, 8, 9, 10]], [0.75, 0.75, 0.5, 0.25, 0.25, 0])
    np.testing.assert_allclose(curves.f1[0, 4], 0.75)
    assert curves.scores[curves.best] == pytest.approx(0.4)


def test_the_order_of_the_detections_does_not_matter() -> None:
    order = np.array([3, 1, 4, 0, 2])
    labels = np.zeros(4)
    one, other = (
        score_curves(CORRECT, SCORES, PREDICTED, labels),
        score_curves(CORRECT[order], SCORES[order], PREDICTED, labels),
    )
    np.testing.assert_array_equal(one.precision, other.precision)
    np.testing.assert_array_equal(one.recall, other.recall)


def test_a_class_without_detections_has_zeros_and_one_without_objects_has_no_curve() -> None:
    curves = score_curves(CORRECT, SCORES, np.array([1.0, 1, 1, 2, 2]), labels=np.array([1.0, 3, 3]))
    assert curves.classes.tolist() == [1, 3]
    assert not curves.precision[1].any()
    assert not curves.recall[1].any()
    assert not curves.f1[1].any()


def test_no_objects_give_no_curves() -> None:
    curves = score_curves(CORRECT, SCORES, PREDICTED, labels=np.zeros(0))
    assert curves.f1.shape == (0, 1000)
    assert curves.best == 0


@pytest.mark.usefixtures("tenths")
def test_the_mean_precision_is_of_the_classes_that_have_detections_at_a_score() -> None:
    predicted = np.array([0.0, 1, 1, 1, 1])
    curves = score_curves(CORRECT, SCORES, predicted, labels=np.array([0.0, 1, 2]))
    assert curves.highest.tolist() == [0.9, 0.8, -1]
    expected = np.nanmean([curves.precision[0], np.where(np.arange(11) < 9, curves.precision[1], np.nan)], axis=0)
    np.testing.assert_allclose(curves.mean_precision[:10], expected[:10])
    assert np.isnan(curves.mean_precision[10])

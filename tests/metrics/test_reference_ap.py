"""The published training's own metric, against its numbers and by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spdbuild.metrics.reference_ap import average_precision, correct_detections

BOX = [10.0, 10.0, 30.0, 30.0]


def test_numbers_are_those_of_the_published_code(golden: Path) -> None:
    arrays = np.load(golden / "fixture_ap.npz")
    found = average_precision(arrays["tp"], arrays["conf"], arrays["pred_cls"], arrays["target_cls"])
    curves, at = found.curves, found.curves.best
    np.testing.assert_array_equal(curves.classes, arrays["classes"])
    np.testing.assert_allclose(found.ap, arrays["ap"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curves.precision[:, at], arrays["p"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curves.recall[:, at], arrays["r"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(curves.f1[:, at], arrays["f1"], rtol=0, atol=1e-12)
    own = [found.of_class(int(label)) for label in arrays["classes"]]
    silent = curves.highest < curves.scores[at]
    precision = [row["precision"] for row in own]
    assert [value is None for value in precision] == silent.tolist()
    np.testing.assert_allclose(np.array(precision, float)[~silent], arrays["p"][~silent], rtol=0, atol=1e-12)
    np.testing.assert_allclose([row["recall"] for row in own], arrays["r"], rtol=0, atol=1e-12)
    assert found.of_class(int(max(arrays["classes"])) + 1) == {"precision": None, "recall": None}
    scalars = found.scalars()
    assert scalars["precision"] == pytest.approx(arrays["p"].mean(), abs=1e-12)
    expected = 0.1 * arrays["ap"][:, 0].mean() + 0.9 * 0.18224304338130165
    assert scalars["fitness"] == pytest.approx(expected, abs=1e-12)


def test_fitness_weighs_ap_nine_times_ap50() -> None:
    # AP50 0.7, and 0.4 over all thresholds: REFERENCE.md 8.5.
    found = average_precision(np.ones((1, 10), dtype=bool), np.ones(1), np.zeros(1), np.zeros(1))
    ap = np.array([[0.7, *[(4.0 - 0.7) / 9] * 9]])
    assert replace(found, ap=ap).scalars()["fitness"] == pytest.approx(0.43)


def test_a_class_without_detections_at_the_best_score_has_no_precision_of_its_own() -> None:
    # The best score is that of the first class's right detections; the second has one of a lower score, the third none.
    correct = np.array([True, True, False, False])[:, None].repeat(10, axis=1)
    found = average_precision(
        correct, np.array([0.9, 0.9, 0.2, 0.1]), np.array([0.0, 0, 0, 1]), np.array([0.0, 0, 1, 2])
    )
    assert found.scalars()["best_score"] == pytest.approx(0.9, abs=0.001)
    assert [found.of_class(label) for label in range(3)] == [
        {"precision": pytest.approx(1, abs=0.01), "recall": 1.0},
        {"precision": None, "recall": 0.0},
        {"precision": None, "recall": 0.0},
    ]
    # In the published mean they count as 1 and 0.
    assert found.scalars()["precision"] == pytest.approx(2 / 3, abs=0.01)


def test_nothing_to_find_has_no_fitness() -> None:
    found = average_precision(np.zeros((0, 10), dtype=bool), np.zeros(0), np.zeros(0), np.zeros(0))
    assert found.scalars() == {}


def test_nothing_found_has_fitness_zero() -> None:
    found = average_precision(np.zeros((0, 10), dtype=bool), np.zeros(0), np.zeros(0), np.ones(3))
    assert found.scalars()["fitness"] == 0


def test_a_detection_is_correct_at_the_thresholds_below_its_overlap() -> None:
    # Shifted by 4 of 20 pixels the overlap is 16 * 20 / (400 + 80) = 2 / 3.
    shifted = torch.tensor([[14.0, 10.0, 34.0, 30.0, 0.9, 2.0]])
    correct = correct_detections(shifted, torch.tensor([BOX]), torch.tensor([2]))
    assert correct.tolist() == [[True] * 4 + [False] * 6]


def test_an_object_belongs_to_the_first_detection_that_takes_it() -> None:
    detections = torch.tensor([[14.0, 10, 34, 30, 0.9, 0], [*BOX, 0.8, 0], [*BOX, 0.7, 1]])
    correct = correct_detections(detections, torch.tensor([BOX]), torch.tensor([0]))
    assert correct.any(axis=1).tolist() == [True, False, False]


def test_a_detection_takes_the_object_it_overlaps_most() -> None:
    objects = torch.tensor([[14.0, 10.0, 34.0, 30.0], BOX])
    correct = correct_detections(torch.tensor([[*BOX, 0.9, 0]]), objects, torch.tensor([0, 0]))
    assert correct.all()


@pytest.mark.parametrize(("detections", "objects"), [(0, 1), (1, 0), (0, 0)])
def test_nothing_is_correct_where_one_side_is_empty(detections: int, objects: int) -> None:
    found = torch.tensor([[*BOX, 0.9, 0]])[:detections]
    correct = correct_detections(found, torch.tensor([BOX])[:objects], torch.zeros(objects))
    assert correct.shape == (detections, 10)
    assert not correct.any()


def test_an_overlap_of_exactly_half_is_correct_at_the_lowest_threshold() -> None:
    half = torch.tensor([[10.0, 10.0, 30.0, 20.0, 0.9, 0.0]])
    correct = correct_detections(half, torch.tensor([BOX]), torch.tensor([0]))
    assert correct.tolist() == [[True] + [False] * 9]

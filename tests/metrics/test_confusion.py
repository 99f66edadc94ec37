"""What a detector takes for what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spdbuild.metrics.confusion import DetectionConfusion

BOXES = torch.tensor([[0.0, 0.0, 20.0, 20.0], [50.0, 50.0, 80.0, 80.0], [100.0, 0.0, 120.0, 30.0]])
LABELS = torch.tensor([0, 1, 1])


def detection(box: torch.Tensor, label: int, score: float = 0.9) -> list[float]:
    return [*box.tolist(), score, label]


def test_right_wrong_missed_and_invented_each_have_their_cell() -> None:
    counts = DetectionConfusion(classes=2)
    nowhere = torch.tensor([200.0, 200.0, 220.0, 220.0])
    found = [detection(BOXES[0], 0), detection(BOXES[1], 0), detection(nowhere, 1)]
    outcome = counts.update(torch.tensor(found), BOXES, LABELS)
    assert counts.matrix.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert outcome._asdict() == {"objects": 3, "right": 1, "confused": 1, "missed": 1, "background": 1}
    assert outcome.errors == 3


def test_a_detection_with_a_low_score_does_not_count() -> None:
    counts = DetectionConfusion(classes=2)
    counts.update(torch.tensor([detection(BOXES[0], 0, 0.2)]), BOXES, LABELS)
    assert counts.matrix.tolist() == [[0, 0, 1], [0, 0, 2], [0, 0, 0]]


def test_a_detection_with_exactly_the_least_score_counts() -> None:
    counts = DetectionConfusion(classes=2, min_score=0.25)
    assert counts.update(torch.tensor([detection(BOXES[0], 0, 0.25)]), BOXES, LABELS).right == 1


def test_of_two_detections_of_one_object_the_closer_stands_for_it() -> None:
    counts = DetectionConfusion(classes=2)
    near = BOXES[0] + torch.tensor([3.0, 0.0, 3.0, 0.0])
    counts.update(torch.tensor([detection(near, 1, 0.99), detection(BOXES[0], 0, 0.5)]), BOXES[:1], LABELS[:1])
    assert counts.matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_a_box_with_several_classes_counts_once_for_the_likeliest() -> None:
    counts = DetectionConfusion(classes=2)
    nowhere = torch.tensor([200.0, 200.0, 220.0, 220.0])
    found = [(BOXES[0], 1, 0.3), (BOXES[0], 0, 0.9), (nowhere, 0, 0.4), (nowhere, 1, 0.9)]
    outcome = counts.update(torch.tensor([detection(*one) for one in found]), BOXES[:1], LABELS[:1])
    assert counts.matrix.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]
    assert (outcome.right, outcome.background) == (1, 1)


def test_a_detection_beside_its_first_choice_gets_the_next_object() -> None:
    counts = DetectionConfusion(classes=2, min_iou=0.3)
    objects = torch.tensor([[0.0, 0.0, 20.0, 20.0], [6.0, 0.0, 26.0, 20.0]])
    found = [detection(objects[0], 0), detection(objects[0] + torch.tensor([1.0, 0, 1, 0]), 1)]
    counts.update(torch.tensor(found), objects, torch.tensor([0, 1]))
    assert counts.matrix.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_crowd_regions_are_no_objects_and_detections_on_them_no_background() -> None:
    counts = DetectionConfusion(classes=2)
    crowd = torch.tensor([False, True, False])
    inside = torch.tensor([55.0, 55.0, 65.0, 65.0])
    outcome = counts.update(torch.tensor([detection(inside, 1), detection(BOXES[2], 1)]), BOXES, LABELS, crowd)
    assert counts.matrix.tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert (outcome.objects, outcome.right, outcome.missed, outcome.background) == (2, 1, 1, 0)


@pytest.mark.parametrize(("label", "background"), [(0, 1), (1, 0), (-1, 0)])
def test_a_crowd_is_of_its_own_class_and_a_region_without_one_of_every_class(label: int, background: int) -> None:
    counts = DetectionConfusion(classes=2)
    found = torch.tensor([detection(BOXES[0], 1)])
    outcome = counts.update(found, BOXES[:1], torch.tensor([label]), torch.tensor([True]))
    assert outcome.background == background


def test_a_detection_that_lies_on_a_crowd_region_with_exactly_half_of_itself_is_background() -> None:
    counts = DetectionConfusion(classes=2)
    half = BOXES[0] + torch.tensor([10.0, 0.0, 10.0, 0.0])
    found = torch.tensor([detection(half, 0)])
    assert counts.update(found, BOXES[:1], LABELS[:1], torch.tensor([True])).background == 1


def test_images_add_up_and_all_objects_and_detections_are_counted() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = DetectionConfusion(classes=4, min_iou=0.3)
    objects = np.zeros(5, dtype=int)
    for _ in range(10):
        boxes = torch.rand(6, 2, generator=generator) * 60
        boxes = torch.cat((boxes, boxes + 25), dim=1)
        labels = torch.randint(4, (6,), generator=generator)
        scores = torch.full((6, 1), 0.5)
        found = torch.cat((boxes + torch.randn(6, 4, generator=generator) * 3, scores, labels[:, None]), dim=1)
        counts.update(found, boxes, labels)
        objects[:4] += np.bincount(labels, minlength=4)
    assert counts.matrix[:-1].sum(axis=1).tolist() == objects[:-1].tolist()
    assert counts.matrix[:, :-1].sum() == 60
    assert counts.matrix[-1, -1] == 0


def test_no_detections_and_no_objects_count_nothing() -> None:
    counts = DetectionConfusion(classes=2)
    counts.update(torch.zeros(0, 6), torch.zeros(0, 4), torch.zeros(0))
    assert not counts.matrix.any()

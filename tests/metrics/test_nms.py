"""Selection of detections, against the published code and by property."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms, box_convert, box_iou

from spdbuild.errors import ArgumentError
from spdbuild.metrics.nms import DisplayNmsOptions, NmsOptions, select_detections

SETTINGS = {"val": NmsOptions(), "val_agnostic": NmsOptions(class_agnostic=True), "detect": DisplayNmsOptions()}


@pytest.mark.parametrize("setting", SETTINGS)
def test_boxes_are_those_of_the_published_code_in_their_order(golden: Path, setting: str) -> None:
    arrays = np.load(golden / "fixture_nms.npz")
    found = select_detections(torch.from_numpy(arrays["pred"]), SETTINGS[setting])
    assert len(found) == 2
    for image, detections in enumerate(found):
        np.testing.assert_array_equal(detections.numpy(), arrays[f"{setting}_{image}"])


def decoded(rows: int = 300, classes: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(2, rows, 4, generator=generator) * 100 + 20
    return torch.cat((boxes, torch.rand(2, rows, 1 + classes, generator=generator)), dim=2)


@pytest.mark.parametrize("multi_label", [True, False])
def test_what_is_kept_is_sorted_apart_and_above_the_score(multi_label: bool) -> None:
    options = NmsOptions(min_score=0.2, max_iou=0.5, multi_label=multi_label)
    for detections in select_detections(decoded(), options):
        scores, labels = detections[:, 4], detections[:, 5]
        assert len(detections) > 3
        assert (scores > 0.2).all()
        assert (scores.diff() <= 0).all()
        for label in labels.unique():
            same = detections[labels == label, :4]
            assert (box_iou(same, same).fill_diagonal_(0) <= 0.5).all()


def test_boxes_of_different_classes_suppress_each_other_only_if_asked() -> None:
    rows = torch.tensor([[[50.0, 50, 20, 20, 1.0, 0.9, 0.8], [51, 50, 20, 20, 1.0, 0.7, 0.6]]])
    assert select_detections(rows)[0][:, 5].tolist() == [0, 1]
    assert select_detections(rows, NmsOptions(class_agnostic=True))[0][:, 5].tolist() == [0]


@pytest.mark.parametrize("apart", [4096, -4096, 8192, 100_000])
def test_boxes_of_different_classes_do_not_meet_however_far_apart_they_lie(apart: int) -> None:
    rows = torch.tensor([[[50.0, 50, 20, 20, 1.0, 0.0, 0.9], [50 + apart, 50 + apart, 20, 20, 1.0, 0.8, 0.0]]])
    assert select_detections(rows)[0][:, 5].tolist() == [1, 0]


def test_a_row_gives_a_box_for_each_class_or_for_the_best_alone() -> None:
    rows = torch.tensor([[[50.0, 50, 20, 40, 0.5, 0.2, 0.9, 0.4]]])
    many, best = (select_detections(rows, NmsOptions(multi_label=multi))[0] for multi in (True, False))
    torch.testing.assert_close(many[:, 4:].tolist(), [[0.45, 1.0], [0.2, 2.0], [0.1, 0.0]])
    torch.testing.assert_close(best.tolist(), [[40.0, 30.0, 60.0, 70.0, 0.45, 1.0]])


def test_of_too_many_candidates_the_best_take_part() -> None:
    all_of_them, few = (
        select_detections(decoded(), NmsOptions(max_candidates=limit, max_iou=0.99))[0] for limit in (30_000, 50)
    )
    torch.testing.assert_close(few, all_of_them[: len(few)])
    assert 0 < len(few) <= 50


def test_no_more_than_max_detections_are_kept() -> None:
    wide = select_detections(decoded(), NmsOptions(max_iou=0.9))[1]
    narrow = select_detections(decoded(), NmsOptions(max_iou=0.9, max_detections=7))[1]
    torch.testing.assert_close(narrow, wide[:7])


@pytest.mark.parametrize("max_iou", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("max_detections", [1, 20, 300])
def test_what_is_kept_is_what_torchvision_keeps_of_all_boxes(max_detections: int, max_iou: float) -> None:
    options = NmsOptions(max_iou=max_iou, max_detections=max_detections)
    for rows, found in zip(decoded(), select_detections(decoded(), options), strict=True):
        boxes = box_convert(rows[:, :4], "cxcywh", "xyxy").repeat_interleave(3, dim=0)
        labels, scores = torch.arange(3).repeat(len(rows)), (rows[:, 4:5] * rows[:, 5:]).flatten()
        likely = scores > options.min_score
        kept = batched_nms(boxes[likely], scores[likely], labels[likely], max_iou)[:max_detections]
        torch.testing.assert_close(found[:, :4], boxes[likely][kept])
        torch.testing.assert_close(found[:, 4], scores[likely][kept])


def test_nothing_above_the_score_gives_no_detections() -> None:
    found = select_detections(decoded(), DisplayNmsOptions(min_score=1.0))
    assert [d.shape for d in found] == [(0, 6), (0, 6)]


def test_half_precision_rows_are_selected_in_single_precision() -> None:
    half = decoded().half()
    for one, other in zip(select_detections(half), select_detections(half.float()), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_detections", -1), ("max_detections", 0), ("max_candidates", 0), ("min_score", 1.5), ("max_iou", -0.1)],
)
def test_numbers_that_select_nothing_or_without_end_are_refused(option: str, value: float) -> None:
    with pytest.raises(ArgumentError, match=f"{option} must be") as caught:
        NmsOptions(**{option: value})  # type: ignore[arg-type]
    assert caught.value.argument == option

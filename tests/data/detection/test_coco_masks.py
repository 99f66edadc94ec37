"""Masks of run lengths in COCO's JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from spdbuild.data.detection.coco_json import read_coco, to_coco
from spdbuild.data.detection.findings import refuse_grave

Document = dict[str, Any]
WriteCoco = Callable[[Document], tuple[Path, Path]]


#: 60 pixels of a mask of 30x40, as COCO's files have it and as pycocotools writes it.
MASKS: dict[str, Any] = {
    "counts": {"counts": [100, 60, 1040], "size": [30, 40]},
    "text": {"size": [30, 40], "counts": "T3l1`P1"},
}


@pytest.mark.parametrize("form", MASKS)
def test_a_mask_of_run_lengths_is_no_outline_and_comes_back(
    document: Document, write_coco: WriteCoco, form: str
) -> None:
    document["annotations"][0]["segmentation"] = MASKS[form]
    dataset = read_coco(*write_coco(document))
    assert [len(polygons) for polygons in dataset.objects.outlines] == [0, 1, 0]
    assert dataset.objects.outlines[1][0].tolist() == [[30, 20], [38, 20], [34, 26]]
    written = {entry["id"]: entry["segmentation"] for entry in to_coco(dataset.subset([1, 0]))["annotations"]}
    assert written == {1: MASKS[form], 2: [], 3: [[30, 20, 38, 20, 34, 26]]}


@pytest.mark.parametrize(
    "form",
    [
        {"size": [30, 40]},
        {"counts": "0"},
        {"size": 30, "counts": "0"},
        {"size": [30], "counts": "0"},
        {"size": [0, 40], "counts": "0"},
        {"size": [30.5, 40], "counts": "0"},
        {"size": [True, 40], "counts": "0"},
        {"size": [30, float("inf")], "counts": "0"},
        {"size": [30, 40], "counts": None},
        {"size": [30, 40], "counts": 1200},
        {"size": [30, 40], "counts": ["a"]},
        {"size": [30, 40], "counts": [-1, 3]},
        {"size": [30, 40], "counts": [1.5, 2.5]},
        {"size": [30, 40], "counts": [float("nan")]},
        {"size": [30, 40], "counts": [10**400]},
        {"size": [30, 40], "counts": [[100, 60, 1040]]},
    ],
)
def test_a_mask_of_wrong_form_costs_the_mask_alone(document: Document, write_coco: WriteCoco, form: Any) -> None:
    document["annotations"][0]["segmentation"] = form
    dataset = read_coco(*write_coco(document))
    (finding,) = dataset.findings
    assert finding.kind == "malformed mask"
    assert "annotation at position 0: a mask needs its 'size' (height and width) and 'counts' (" in str(finding)
    refuse_grave(dataset.findings)
    assert dataset.of_image(1).boxes_xyxy.tolist() == [[1, 2, 11, 22]]
    assert dataset.trainable.tolist() == [False, True, True]
    written = {entry["id"]: entry["segmentation"] for entry in to_coco(dataset)["annotations"]}
    assert written == {1: [], 2: [], 3: [[30, 20, 38, 20, 34, 26]]}


@pytest.mark.parametrize(
    "form",
    [
        {"size": [30.0, 40], "counts": "T3l1`P1"},
        {"size": [30, 40], "counts": [100.0, 60, 1040]},
        {"size": [30, 40], "counts": [0, 1200]},
        {"size": [30, 40], "counts": [2**40]},
        {"size": [30, 40], "counts": []},
        {"size": [30, 40], "counts": ""},
    ],
)
def test_masks_do_not_matter_to_an_evaluation_of_boxes(document: Document, write_coco: WriteCoco, form: Any) -> None:
    document["annotations"][0]["segmentation"] = form
    dataset = read_coco(*write_coco(document))
    assert not dataset.findings
    truth = to_coco(dataset)
    assert [entry["segmentation"] for entry in truth["annotations"] if entry["id"] == 1] == [form]
    coco = COCO()
    coco.dataset = {"info": {}, **truth}
    coco.createIndex()
    job = COCOeval(coco, coco.loadRes(np.array([[20, 1, 2, 10, 20, 0.9, 7]])), "bbox")
    job.params.catIds = [7]
    job.evaluate()
    job.accumulate()
    assert (job.eval["precision"][:, :, 0, 0, -1] > 0.999).all()


def test_both_forms_are_the_same_mask_to_pycocotools() -> None:
    assert mask.frPyObjects(MASKS["counts"], 30, 40)["counts"].decode() == MASKS["text"]["counts"]
    assert mask.area({**MASKS["text"], "counts": MASKS["text"]["counts"].encode()}) == 60


def test_outlines_and_masks_can_be_left_out(document: Document, write_coco: WriteCoco) -> None:
    document["annotations"][0]["segmentation"] = MASKS["text"]
    dataset = read_coco(*write_coco(document))
    whole, bare = to_coco(dataset), to_coco(dataset, outlines=False)
    for entry in whole["annotations"]:
        del entry["segmentation"]
    assert bare == whole

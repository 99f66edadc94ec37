"""The evaluator: published numbers, pycocotools' own summary, and properties."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from spdbuild.boxes.size_bins import SizeBin
from spdbuild.errors import ArgumentError, DataError
from spdbuild.metrics.detection import EvaluationOptions, evaluate_detections

Rows = NDArray[np.float64]
# data/README.md of the shared data: pycocotools' published example.
PUBLISHED = {
    "AP": 0.504581,
    "AP50": 0.696973,
    "AP75": 0.572982,
    "AP_S": 0.585626,
    "AP_M": 0.519400,
    "AP_L": 0.501398,
    "AR1": 0.386813,
    "AR10": 0.593680,
    "AR100": 0.595353,
    "AR_S": 0.639811,
    "AR_M": 0.566421,
    "AR_L": 0.564291,
}


@pytest.fixture(scope="module")
def oracle(data_folder: Path) -> tuple[dict[str, Any], Rows]:
    folder = data_folder / "coco-oracle"
    if not folder.is_dir():
        pytest.skip(f"no COCO oracle in {data_folder}")
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    records = json.loads((folder / "detections_bbox.json").read_text())
    return truth, np.array([[r["image_id"], *r["bbox"], r["score"], r["category_id"]] for r in records], np.float64)


@pytest.fixture
def scene() -> tuple[dict[str, Any], Rows]:
    """Random objects of three categories in 20 images, a crowd here and there; detections near them, and others."""
    random = np.random.default_rng(0)
    annotations, rows = [], []
    for number in range(200):
        image, category = int(random.integers(20)) + 1, [3, 7, 1][random.integers(3)]
        box = [*random.uniform(0, 300, 2), *random.choice([12.0, 50.0, 150.0]) * random.uniform(0.7, 1.3, 2)]
        crowd = int(random.uniform() < 0.1)
        annotations.append({"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": crowd})
        rows.append([image, *(box + random.normal(0, 3, 4)), random.uniform(), category])
        rows.append([image, *random.uniform(20, 100, 4), random.uniform(), random.choice([1, 3, 7])])
    categories = [{"id": number, "name": f"kind {number}"} for number in (7, 1, 3)]
    images = [{"id": number} for number in range(1, 21)]
    return {"images": images, "categories": categories, "annotations": annotations}, np.array(rows)


def perfect(truth: dict[str, Any]) -> Rows:
    rows = [(a["image_id"], *a["bbox"], 0.9, a["category_id"]) for a in truth["annotations"] if not a["iscrowd"]]
    return np.array(rows, dtype=np.float64)


def summary_of_pycocotools(truth: dict[str, Any], rows: Rows, agnostic: bool = False) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        areas = [{**a, "area": a["bbox"][2] * a["bbox"][3], "id": a["id"] + 1} for a in truth["annotations"]]
        known.dataset = {**truth, "annotations": areas}
        known.createIndex()
        job = COCOeval(known, known.loadRes(rows.copy()), "bbox")
        job.params.useCats = int(not agnostic)
        job.evaluate()
        job.accumulate()
        job.summarize()
    return job.stats.tolist()


def test_the_oracle_gives_its_published_numbers(oracle: tuple[dict[str, Any], Rows]) -> None:
    found = evaluate_detections(*oracle)
    assert {name: round(value, 6) for name, value in found.row().items() if value is not None} == PUBLISHED
    assert found.images == 100
    assert found.detections == 734


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sizes": (SizeBin("tiny", 0, 16), SizeBin("rest", 16, 1e5)), "max_detections": (5, 50)},
        {"class_agnostic": True},
    ],
    ids=["as COCO", "own sizes", "class agnostic"],
)
@pytest.mark.parametrize("data", ["oracle", "scene"])
def test_the_other_backend_gives_identical_numbers(
    data: str, options: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is an extra")
    truth, rows = request.getfixturevalue(data)
    slow, fast = (
        evaluate_detections(truth, rows, EvaluationOptions(backend=backend, **options))
        for backend in ("pycocotools", "faster-coco-eval")
    )
    assert slow == fast
    np.testing.assert_array_equal(slow.precision, fast.precision)


@pytest.mark.parametrize("agnostic", [False, True])
def test_numbers_are_those_of_pycocotools_summary(scene: tuple[dict[str, Any], Rows], agnostic: bool) -> None:
    found = evaluate_detections(*scene, EvaluationOptions(class_agnostic=agnostic))
    np.testing.assert_allclose(list(found.row().values()), summary_of_pycocotools(*scene, agnostic), rtol=0, atol=1e-12)


def test_perfect_detections_give_one(scene: tuple[dict[str, Any], Rows], capsys: pytest.CaptureFixture[str]) -> None:
    truth, _ = scene
    found = evaluate_detections(truth, perfect(truth), EvaluationOptions(max_detections=(100,)))
    assert set(found.row().values()) == {1.0}
    assert {kind.ap for kind in found.classes} == {1.0}
    assert (found.precision == 1).all()
    assert capsys.readouterr().out == ""


def test_an_annotation_numbered_zero_counts(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, _ = scene
    only = {**truth, "annotations": [{**truth["annotations"][0], "id": 0, "iscrowd": 0}]}
    assert evaluate_detections(only, perfect(only)).ap == 1


def test_order_and_numbers_of_images_change_nothing(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, rows = scene
    random = np.random.default_rng(1)
    new = dict(zip(range(1, 21), random.permutation(5000)[:20].tolist(), strict=True))
    renamed = {
        "images": [{"id": new[number]} for number in random.permutation(range(1, 21)).tolist()],
        "categories": truth["categories"],
        "annotations": [
            {**truth["annotations"][n], "image_id": new[truth["annotations"][n]["image_id"]]}
            for n in random.permutation(len(truth["annotations"]))
        ],
    }
    moved = random.permutation(rows)
    moved[:, 0] = [new[int(number)] for number in moved[:, 0]]
    assert evaluate_detections(renamed, moved) == evaluate_detections(truth, rows)


def test_sizes_without_objects_have_no_number_and_objects_are_counted(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, rows = scene
    bins = (SizeBin("S", 0, 32), SizeBin("M", 32, 96), SizeBin("L", 96, 1e5), SizeBin("huge", 1000, 2000))
    found = evaluate_detections(truth, rows, EvaluationOptions(sizes=bins))
    areas = [a["bbox"][2] * a["bbox"][3] for a in truth["annotations"] if not a["iscrowd"]]
    assert found.objects_by_size == {
        "S": sum(area <= 1024 for area in areas),
        "M": sum(1024 <= area <= 9216 for area in areas),
        "L": sum(area >= 9216 for area in areas),
        "huge": 0,
    }
    assert found.objects == len(areas) == sum(kind.objects for kind in found.classes)
    assert found.row()["AP_huge"] is None
    assert found.row()["AR_huge"] is None
    assert found.row()["AP_S"] is not None


def test_a_category_without_objects_is_left_out_of_the_mean(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, rows = scene
    more = {**truth, "categories": [*truth["categories"], {"id": 2, "name": "absent"}]}
    found = evaluate_detections(more, rows)
    assert found.row() == evaluate_detections(truth, rows).row()
    absent = next(kind for kind in found.classes if kind.name == "absent")
    assert (absent.ap, absent.ap50, absent.ap75, absent.ar, absent.objects) == (None, None, None, None, 0)
    assert np.isnan(found.precision[1]).all()


def test_the_means_are_those_of_the_classes(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, rows = scene
    found = evaluate_detections(truth, rows)
    for name, mean in (("ap", found.ap), ("ap50", found.ap50), ("ap75", found.ap75), ("ar", found.ar[100])):
        assert mean == pytest.approx(np.mean([getattr(kind, name) for kind in found.classes]), abs=1e-11)


def test_no_detections_give_zero(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, _ = scene
    assert set(evaluate_detections(truth, np.zeros((0, 7))).row().values()) == {0.0}


def test_a_detection_on_a_crowd_counts_neither_as_right_nor_as_wrong(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, _ = scene
    crowd = next(a for a in truth["annotations"] if a["iscrowd"])
    on_it = [crowd["image_id"], *crowd["bbox"], 0.99, crowd["category_id"]]
    assert evaluate_detections(truth, np.vstack([perfect(truth), on_it])).ap == 1
    beside = [crowd["image_id"], 900, 900, 20, 20, 0.99, crowd["category_id"]]
    assert evaluate_detections(truth, np.vstack([perfect(truth), beside])).ap < 1


def test_unknown_images_and_categories_are_named(scene: tuple[dict[str, Any], Rows]) -> None:
    truth, rows = scene
    with pytest.raises(DataError, match="1 image ids of the detections are not in the ground truth, among them 777"):
        evaluate_detections(truth, np.vstack([rows, [777, 0, 0, 5, 5, 0.5, 1]]))
    with pytest.raises(DataError, match="1 category ids of the detections are not in the ground truth, among them 0"):
        evaluate_detections(truth, np.vstack([rows, [1, 0, 0, 5, 5, 0.5, 0]]))
    with pytest.raises(DataError, match=r"rows of 7 numbers, got an array of shape \[3, 6\]"):
        evaluate_detections(truth, np.zeros((3, 6)))


def test_a_missing_backend_is_named(scene: tuple[dict[str, Any], Rows], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ArgumentError, match="the evaluation backend faster-coco-eval is not installed"):
        evaluate_detections(*scene, EvaluationOptions(backend="faster-coco-eval"))

"""A detector's run: what it leaves, exact resume, and several processes as one."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from spdbuild.data.detection.convert import convert
from spdbuild.data.detection.dataset import splits_of
from spdbuild.data.detection.table import NO_CLASS
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import WeightsError
from spdbuild.metrics import by_image
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate

Rows = Callable[[Path], list[dict[str, Any]]]
Same = Callable[[Path, Path], None]
TRAIN = "from spdbuild.training.running.run import train; train({recipe!r}, {options!r}, runs={runs!r}, quiet=True)"


def test_a_run_leaves_metrics_curves_and_predictions(recipe: Path, tmp_path: Path, rows: Rows) -> None:
    folder = train(recipe, runs=tmp_path / "runs", quiet=True).folder
    last = rows(folder)[-1]
    assert {"train/box_loss", "train/objectness_loss", "train/class_loss"} <= last.keys()
    assert {"test/AP", "test/AP_S", "test/fitness"} <= last.keys()
    # Every object is small, so there is nothing to measure of the others.
    assert "test/AP_L" not in last
    report = folder / "report"
    for name in ("confusion.png", "precision_over_recall.png", "metrics_over_score.png", "index.html"):
        assert (report / name).stat().st_size > 0
    found = json.loads((report / "predictions.json").read_text())
    assert {entry["image_id"] for entry in found} <= set(range(1, 7))
    with (report / "classes.csv").open() as file:
        counts = {row["class"]: int(row["objects"]) for row in csv.DictReader(file)}
    with (report / "images.csv").open() as file:
        images = list(csv.DictReader(file))
    assert sorted(row["image"] for row in images) == sorted(
        image.name for image in TinyObjects(24, 64).open("val").images
    )
    assert sum(int(row["objects"]) for row in images) == sum(counts.values())
    errors = [sum(int(row[name]) for name in ("confused", "missed", "background")) for row in images]
    assert errors == sorted(errors, reverse=True)
    matches, names = by_image.load(report / by_image.FILE)
    assert matches.metrics()["AP"] == pytest.approx(last["test/AP"])
    assert len(names) == len(matches)
    labels = TinyObjects(images=24, size=64).open("val").objects.classes
    assert list(counts.values()) == [int((labels == class_).sum()) for class_ in range(6)]


def test_evaluating_a_run_repeats_its_last_metrics(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, runs=tmp_path / "runs", quiet=True)
    report = evaluate(done.folder, weights=done.folder / "weights" / "last.safetensors")
    assert report.evaluation.scalars == done.metrics
    document = json.loads(json.dumps(report.to_dict()))
    # The score at which F1 is best is no better for being higher.
    assert document["metrics"].keys() - {"best_score"} == report.stored.recipe.task.metrics().keys()
    assert document["metrics"]["AP_L"] is None
    assert document["counts"]["images"] == report.images == 6
    assert list(document["stages"]) == ["1", "8"]
    assert list(document["stages"]["1"]) == ["read", "prepare", "network", "boxes"]


@pytest.mark.parametrize("steps", [3, 5])
def test_a_run_stopped_and_resumed_is_the_uninterrupted_run(
    recipe: Path, tmp_path: Path, steps: int, assert_same_run: Same
) -> None:
    options = ["task.augment.multi_scale=0.5", "task.augment.mixup=0.3"]
    whole = train(recipe, options, quiet=True, runs=tmp_path / "whole")
    part = train(recipe, [*options, f"max_steps={steps}"], quiet=True, runs=tmp_path / "part")
    resume(part.folder, ["max_steps=null"], quiet=True)
    assert_same_run(part.folder, whole.folder)


def test_a_resumed_run_keeps_the_anchors_that_were_found(recipe: Path, tmp_path: Path) -> None:
    options = ["vars.anchors={fine: [[300, 300], [310, 310]], coarse: [[320, 320], [330, 330]]}", "max_steps=4"]
    part = train(recipe, options, quiet=True, runs=tmp_path / "runs")
    before = load_file(part.folder / "weights" / "last.safetensors")["detect.anchors"]
    assert before.max() < 10
    resume(part.folder, ["max_steps=null"], quiet=True)
    after = load_file(part.folder / "weights" / "last.safetensors")["detect.anchors"]
    torch.testing.assert_close(after, before)


def test_batches_are_gathered_to_the_nominal_batch(recipe: Path, tmp_path: Path, rows: Rows) -> None:
    done = train(recipe, ["nominal_batch=16", "epochs=1"], quiet=True, runs=tmp_path / "runs")
    # Three batches of 8: a step of two and a step of one.
    assert rows(done.folder)[-1]["step"] == 2


@pytest.mark.slow
def test_two_processes_evaluate_as_one_with_the_same_weights(
    recipe: Path, tmp_path: Path, rows: Rows, run_processes: Callable[[int, str], list[str]]
) -> None:
    # Five test images in batches of three: the last batches leave one process without any.
    options = ["data.images=20", "batch=4", "test_batch=3", "sync_batch_norm=false"]
    run_processes(2, TRAIN.format(recipe=str(recipe), options=options, runs=str(tmp_path)))
    double, single = tmp_path / "small", tmp_path / "single"
    report = evaluate(double, weights=double / "weights" / "last.safetensors", speed=False, output=single)
    last = rows(double)[-1]
    for name, value in report.evaluation.scalars.items():
        assert last[f"test/{name}"] == pytest.approx(value, abs=1e-9), name
    found, expected = (json.loads((folder / "predictions.json").read_text()) for folder in (double / "report", single))
    assert len(found) > 100
    assert len(found) == len(expected)
    # Scores that differ by rounding come in either order.
    for one in found:
        numbers = pytest.approx([one["image_id"], one["category_id"], *one["bbox"], one["score"]], abs=1e-4)
        same = (
            other
            for other in expected
            if [other["image_id"], other["category_id"], *other["bbox"], other["score"]] == numbers
        )
        expected.remove(next(same))
    for name in ("confusion.csv", "images.csv"):
        tables = [(folder / name).read_text() for folder in (double / "report", single)]
        assert tables[0] == tables[1]
    matches = [by_image.load(folder / by_image.FILE)[0] for folder in (double / "report", single)]
    assert matches[0].metrics() == pytest.approx(matches[1].metrics(), abs=1e-9)


@pytest.mark.slow
def test_two_processes_train_almost_as_one(
    recipe: Path, tmp_path: Path, rows: Rows, run_processes: Callable[[int, str], list[str]]
) -> None:
    options = ["data.images=20", "batch=4", "test_batch=3"]
    single = train(recipe, options, runs=tmp_path / "one", quiet=True).folder
    run_processes(2, TRAIN.format(recipe=str(recipe), options=options, runs=str(tmp_path / "two")))
    for one, two in zip(rows(single), rows(tmp_path / "two" / "small"), strict=True):
        # A level's loss is a mean over its matches, so that of a batch is not exactly the mean of its halves.
        assert two["train/loss"] == pytest.approx(one["train/loss"], rel=0.1)


def test_data_with_a_part_of_the_classes_in_another_order_are_known_by_name(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["max_steps=2"], runs=tmp_path / "runs", quiet=True)
    whole = evaluate(done.folder, speed=False).evaluation
    splits = splits_of(TinyObjects(24, 64))
    order = [3, 1, 0]
    for split, dataset in splits.items():
        numbers = np.array([order.index(class_) if class_ in order else NO_CLASS for class_ in range(6)])
        objects = replace(dataset.objects, classes=numbers[dataset.objects.classes])
        names = tuple(dataset.names[class_] for class_ in order)
        part = replace(dataset, names=names, category_ids=(1, 2, 3), objects=objects)
        splits[split] = part
    convert(splits, "yolo", tmp_path / "part")
    options = [f"data={{name: yolo, file: {tmp_path / 'part' / 'data.yaml'}}}"]
    found = evaluate(done.folder, options, speed=False, output=tmp_path / "out").evaluation
    assert "of 3 of the 6 classes, those of the data" in found.protocol
    assert found.classes == whole.classes
    for class_ in range(6):
        expected = whole.rows[class_]["AP"] if class_ in order else None
        assert found.rows[class_]["AP"] == (None if expected is None else pytest.approx(expected, abs=1e-6))
    ids = {entry["category_id"] for entry in json.loads((tmp_path / "out" / "predictions.json").read_text())}
    assert ids <= {1, 2, 3}


def test_data_with_a_class_that_the_model_has_not_are_refused(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["max_steps=2"], runs=tmp_path / "runs", quiet=True)
    dataset = TinyObjects(24, 64).open("val")
    convert({"val": replace(dataset, names=(*dataset.names[:5], "star"))}, "yolo", tmp_path / "other")
    options = [f"data={{name: yolo, file: {tmp_path / 'other' / 'data.yaml'}}}"]
    with pytest.raises(WeightsError, match="the data has the class 'star', which the weights do not have"):
        evaluate(done.folder, options, speed=False)

"""A detector's run: what it leaves, exact resume, and several processes as one."""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spdbuild.data.tiny_objects import TinyObjects
from spdbuild.training.evaluate import evaluate
from spdbuild.training.run import resume, train

TIMING = ("seconds", "images_per_second")
TRAIN = "from spdbuild.training.run import train; train({recipe!r}, {options!r}, runs={runs!r}, quiet=True)"


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run without what depends on the clock."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key not in TIMING} for line in lines]


def assert_same_run(folder: Path, other: Path) -> None:
    weights, expected = (load_file(f / "weights" / "last.safetensors") for f in (folder, other))
    assert weights.keys() == expected.keys()
    for key, tensor in weights.items():
        assert torch.equal(tensor, expected[key]), key
    assert rows(folder) == rows(other)


def test_a_run_leaves_metrics_curves_and_predictions(recipe: Path, tmp_path: Path) -> None:
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
    labels = TinyObjects(images=24, size=64).open("val").objects.classes
    assert list(counts.values()) == [int((labels == class_).sum()) for class_ in range(6)]


def test_evaluating_a_run_repeats_its_last_metrics(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, runs=tmp_path / "runs", quiet=True)
    report = evaluate(done.folder, weights=done.folder / "weights" / "last.safetensors")
    assert report.evaluation.scalars == done.metrics
    document = json.loads(json.dumps(report.to_dict()))
    assert document["metrics"]["AP_L"] is None
    assert document["counts"]["images"] == report.images == 6
    assert list(document["stages"]) == ["1", "8"]
    assert list(document["stages"]["1"]) == ["read", "prepare", "network", "boxes"]


@pytest.mark.parametrize("steps", [3, 5])
def test_a_run_stopped_and_resumed_is_the_uninterrupted_run(recipe: Path, tmp_path: Path, steps: int) -> None:
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


def test_batches_are_gathered_to_the_nominal_batch(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["nominal_batch=16", "epochs=1"], quiet=True, runs=tmp_path / "runs")
    # Three batches of 8: a step of two and a step of one.
    assert rows(done.folder)[-1]["step"] == 2


def run_processes(count: int, code: str) -> None:
    """What torchrun does: `count` processes that know each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**shared, "WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    errors = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0] * count, errors


@pytest.mark.slow
def test_two_processes_train_and_evaluate_as_one(recipe: Path, tmp_path: Path) -> None:
    # Five test images in batches of three: the last batches leave one process without any.
    options = ["data.images=20", "batch=4", "test_batch=3"]
    single = train(recipe, options, runs=tmp_path / "one", quiet=True).folder
    run_processes(2, TRAIN.format(recipe=str(recipe), options=options, runs=str(tmp_path / "two")))
    double = tmp_path / "two" / "small"
    for one, two in zip(rows(single), rows(double), strict=True):
        # A level's loss is a mean over its matches, so that of a batch is not exactly the mean of its halves.
        assert two["train/loss"] == pytest.approx(one["train/loss"], rel=0.1)
    found = json.loads((double / "report" / "predictions.json").read_text())
    images = [entry["image_id"] for entry in found]
    assert images == sorted(images)
    assert set(images) <= set(range(1, 6))
    counts = {image: images.count(image) for image in set(images)}
    assert max(counts.values()) <= 300

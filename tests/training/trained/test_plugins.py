"""Runs with classes of an installed package, and the same runs where it is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

MODULE = '''
"""A loss, an initializer, a data set with several labels per image, and two tasks."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from spdbuild.data import DATASETS, ArrayImages
from spdbuild.losses.classification import CrossEntropy
from spdbuild.losses.loss import LOSSES
from spdbuild.training.initializers import INITIALIZERS, Initializer
from spdbuild.training.task import TASKS, Task
from spdbuild.training.tasks.classification import Classification


@LOSSES.register
@dataclass(frozen=True)
class HalfCrossEntropy(CrossEntropy):
    """Half of it."""

    def __call__(self, *arguments):
        return super().__call__(*arguments) / 2


@INITIALIZERS.register
@dataclass(frozen=True)
class Halves(Initializer):
    """All weights one half."""

    def fill(self, weight):
        weight.fill_(0.5)


@DATASETS.register
@dataclass(frozen=True)
class SeveralLabels:
    """Images with a share of each class."""

    task: ClassVar[str] = "classification"

    def open(self, split):
        return ArrayImages(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), torch.ones(8, 2), ("a", "b"))


@DATASETS.register
@dataclass(frozen=True)
class Numbers(SeveralLabels):
    """Images with numbers."""

    task: ClassVar[str] = "regression"


@TASKS.register
@dataclass(frozen=True)
class Calibrated(Classification):
    """Classification, once more."""


@TASKS.register
@dataclass(frozen=True)
class Unheard(Task):
    """A task for which there is nothing."""

    default_loss: ClassVar[str] = "cross_entropy"
    monitor: str = "top1"

    def metrics(self):
        return {}
'''
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def spdbuild(tmp_path: Path) -> Run:
    """Runs the command in a process that has the package, or has not."""
    site = tmp_path / "site"
    about = site / "own_parts-1.5.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: own-parts\nVersion: 1.5\n")
    groups = ("losses", "datasets", "tasks", "initializers")
    (about / "entry_points.txt").write_text("".join(f"[spdbuild.{group}]\nown = own_parts\n" for group in groups))
    (site / "own_parts.py").write_text(MODULE)

    def run(*words: object, installed: bool = True) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(site)} if installed else {})
        command = [sys.executable, "-m", "spdbuild", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)

    return run


def test_a_run_names_the_packages_that_it_needs_where_they_are_missing(
    spdbuild: Run, recipe: Path, tmp_path: Path
) -> None:
    options = ("loss.name=half_cross_entropy", "task=calibrated", "max_steps=1", "--quiet", "--runs", tmp_path)
    done = spdbuild("train", recipe, *options)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "small"
    assert json.loads((folder / "environment.json").read_text())["plugins"] == {"own-parts": "1.5"}
    for words in (("eval", folder), ("train", "--resume", folder)):
        missing = spdbuild(*words, installed=False)
        assert missing.returncode == 2
        assert "'loss.name' cannot be 'half_cross_entropy'" in missing.stderr
        assert "'task.name' must be" in missing.stderr
        assert "= hint: install what the run was made with: own-parts 1.5" in missing.stderr
    resumed = spdbuild("train", "--resume", folder, "max_steps=2", "--quiet")
    assert resumed.returncode == 0, resumed.stderr
    (again,) = json.loads((folder / "environment.json").read_text())["resumed"]
    assert "plugins" not in again


def test_a_run_names_the_package_of_an_initializer(spdbuild: Run, recipe: Path, tmp_path: Path) -> None:
    done = spdbuild("train", recipe, "init={'*': halves}", "max_steps=1", "--quiet", "--runs", tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "small" / "environment.json").read_text())["plugins"] == {"own-parts": "1.5"}


def test_what_does_not_fit_a_task_is_refused(spdbuild: Run, recipe: Path) -> None:
    several = spdbuild("train", recipe, "data={name: several_labels}", "batch=4")
    assert (several.returncode, several.stderr.splitlines()[0]) == (
        2,
        "command line:1:6: error: the labels of 'several_labels' are float32 [8, 2], and classification takes one "
        "class number per image",
    )
    unheard = spdbuild("train", recipe, "task=unheard")
    assert unheard.returncode == 2
    assert "data: 'digits' is for classification, not for unheard" in unheard.stderr
    assert "= hint: set task: classification" in unheard.stderr
    numbers = spdbuild("data", "recipe", "numbers")
    assert (numbers.returncode, numbers.stderr.splitlines()[0]) == (
        2,
        "error: there is no starting recipe for the task of the data set 'numbers': regression",
    )

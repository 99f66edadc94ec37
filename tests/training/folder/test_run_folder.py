"""What a run writes about itself."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest

import spdbuild
from spdbuild.training.folder import environment
from spdbuild.training.folder.run_folder import RunFolder


def test_a_metric_that_is_no_number_is_written_as_one_that_is_not_there(tmp_path: Path) -> None:
    RunFolder(tmp_path).write_metrics([{"epoch": 1, "loss": math.nan}, {"epoch": 2, "loss": 0.5, "top1": -math.inf}])
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"epoch": 1, "loss": null}\n{"epoch": 2, "loss": 0.5, "top1": null}\n'
    )
    assert (tmp_path / "metrics.csv").read_text() == "epoch,loss,top1\n1,,\n2,0.5,\n"
    assert RunFolder(tmp_path).metrics()[0] == {"epoch": 1, "loss": None}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_environment_names_the_machine_and_the_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, package = tmp_path / "own", tmp_path / "package"
    for folder in (own, package):
        folder.mkdir()
        git(folder, "init")
        (folder / "file.py").touch()
        git(folder, "add", "file.py")
        git(folder, "commit", "-m", folder.name)
    (package / "installed.py").touch()
    monkeypatch.chdir(own)
    monkeypatch.setattr(environment, "__file__", str(package / "file.py"))
    facts = environment.environment()
    assert (facts["commit"], facts["spdbuild_commit"]) == (
        git(own, "rev-parse", "HEAD"),
        git(package, "rev-parse", "HEAD"),
    )
    assert facts["processor"]
    assert {"pycocotools", "torch"} <= facts["versions"].keys()
    assert facts["versions"]["spdbuild"] == spdbuild.__version__
    # A package that is installed within somebody's repository is not of that repository.
    monkeypatch.setattr(environment, "__file__", str(package / "installed.py"))
    assert environment.environment()["spdbuild_commit"] is None

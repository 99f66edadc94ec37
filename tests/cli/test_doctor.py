"""`spdbuild doctor`."""

from __future__ import annotations

import json
from importlib import metadata

import pytest
import torch

from spdbuild.cli import doctor


def test_versions_and_threads_are_those_that_run(run):
    facts = json.loads(run("doctor", "--json").stdout)
    for package in ("torch", "pillow"):
        assert facts["versions"][package] == metadata.version(package)
    assert facts["machine"]["cpu"].endswith(f"torch uses {torch.get_num_threads()} threads")


def test_a_missing_extra_says_how_to_get_it(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "installed_version", lambda package: None)
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["extras"]["tensorboard"] == "missing; pip install 'spdbuild[tensorboard]'"
    assert "ruff" not in facts["extras"]


def test_without_an_installation_it_says_so(run, monkeypatch: pytest.MonkeyPatch):
    def requires(package: str) -> list[str]:
        raise metadata.PackageNotFoundError(package)

    monkeypatch.setattr(metadata, "requires", requires)
    extras = json.loads(run("doctor", "--json").stdout)["extras"]
    assert list(extras) == ["spdbuild"]
    assert "is not installed" in extras["spdbuild"]


def test_people_get_a_table(run):
    result = run("doctor")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split()[:2] == ["versions", "python"]

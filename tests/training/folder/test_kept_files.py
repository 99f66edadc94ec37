"""Architectures that extend others and import Python files: what a run keeps of them, and who allows code to run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from spdbuild.errors import SourceError, SpdbuildError
from spdbuild.loading import load
from spdbuild.ops.op import OPS
from spdbuild.training.folder.kept_files import kept_files
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate

from ..own_code import forget

OP = """
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from spdbuild.ops.op import OPS, Example, Family, Op
from spdbuild.shape import Shape


@OPS.register
@dataclass(frozen=True)
class Echo(Op):
    family: ClassVar[Family] = "activation"

    def shape(self, x: Shape) -> Shape:
        return x

    def module(self, x: Shape):
        return nn.Identity()

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(8, 4, 4)], Shape(8, 4, 4))
"""
BASE = """model: base
imports: [echo.py]
inputs: {image: [3, 8, 8]}
vars: {classes: 10, width: 8}
layers:
  - stem: conv2d(width, 3, stride=2)
  - echo()
  - global_avg_pool()
  - head: linear(classes)
"""
RECIPE = """architecture: nets/own.yaml
data: {name: digits}
passes: [strided_to_spd()]
epochs: 1
max_steps: 2
workers: 0
compare: {strided: {passes: []}}
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an architecture that extends one with an op of its own; what was imported is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(OPS, "_classes", dict(OPS.items()))
    folder = tmp_path / "nets"
    folder.mkdir()
    (folder / "echo.py").write_text(OP)
    (folder / "base.yaml").write_text(BASE)
    (folder / "own.yaml").write_text("model: own\nextends: base.yaml  # see there\nvars: {width: 4}\n")
    yield folder
    forget()


def test_a_run_goes_on_and_is_evaluated_without_the_files_it_was_made_of(nets: Path) -> None:
    folder = train(RECIPE, quiet=True, allow_imports=True).folder
    shutil.rmtree(nets)
    for run in (folder, folder / "strided"):
        forget()
        with pytest.raises(SourceError, match=r"sources/base.yaml:2:11: error: this file wants to run the Python code"):
            evaluate(run, speed=False)
        assert evaluate(run, speed=False, allow_imports=True).images == 360
    forget()
    with pytest.raises(SourceError, match="this file wants to run the Python code of 'echo.py'"):
        resume(folder, ["max_steps=4"], quiet=True)
    assert resume(folder, ["max_steps=4"], quiet=True, allow_imports=True).twins


def test_code_of_a_recipe_runs_only_where_that_is_allowed(nets: Path) -> None:
    with pytest.raises(SpdbuildError, match="if you trust it, say --allow-imports"):
        train(RECIPE, quiet=True)
    assert not Path("runs").exists()
    assert "echo" not in OPS


def test_kept_files_name_each_other(nets: Path) -> None:
    kept = kept_files(load(nets / "own.yaml", allow_imports=True).document)
    assert kept == {
        "architecture.yaml": 'model: own\nextends: "sources/base.yaml"  # see there\nvars: {width: 4}\n',
        "sources/base.yaml": BASE.replace("[echo.py]", '["echo.py"]'),
        "sources/echo.py": OP,
    }


def test_kept_files_do_not_name_a_schema_that_is_not_beside_them(nets: Path) -> None:
    comment = "# yaml-language-server: $schema=../docs/schema/architecture.json\n"
    for name in ("own.yaml", "base.yaml"):
        (nets / name).write_text(comment + (nets / name).read_text())
    kept = kept_files(load(nets / "own.yaml", allow_imports=True).document)
    assert kept["architecture.yaml"].startswith("model: own\n")
    assert kept["sources/base.yaml"].startswith("model: base\n")


def test_files_of_one_name_are_kept_apart(nets: Path) -> None:
    (nets / "more").mkdir()
    (nets / "more" / "base.yaml").write_text("model: more\nextends: ../base.yaml\n")
    (nets / "own.yaml").write_text("model: own\nextends: more/base.yaml\n")
    kept = kept_files(load(nets / "own.yaml", allow_imports=True).document)
    assert kept["architecture.yaml"] == 'model: own\nextends: "sources/base-2.yaml"\n'
    assert kept["sources/base-2.yaml"] == 'model: more\nextends: "base.yaml"\n'


def test_a_file_that_was_edited_is_imported_anew(nets: Path) -> None:
    load(nets / "own.yaml", allow_imports=True)
    load(nets / "own.yaml")
    (nets / "echo.py").write_text(OP.replace("nn.Identity()", "nn.ReLU()"))
    with pytest.raises(SourceError, match="this file wants to run"):
        load(nets / "own.yaml")
    load(nets / "own.yaml", allow_imports=True)
    assert type(OPS["echo"]().module(None)).__name__ == "ReLU"  # type: ignore[call-arg]


def test_a_file_that_fails_is_not_taken_for_imported(nets: Path) -> None:
    (nets / "echo.py").write_text("1 / 0\n")
    for _ in range(2):
        with pytest.raises(SourceError, match="'echo.py' cannot be imported: ZeroDivisionError"):
            load(nets / "own.yaml", allow_imports=True)

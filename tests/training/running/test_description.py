"""What says what a run is, when its folder is removed while it trains or when it cannot begin."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spdbuild.training.recipe import load_recipe
from spdbuild.training.running import description, run, updates
from spdbuild.training.running.run import resume, train, train_in
from spdbuild.training.trained.evaluate import evaluate

Same = Callable[[Path, Path], None]
FILES = ("recipe.yaml", "architecture.yaml", "sources/tiny.yaml", "environment.json")


@pytest.fixture
def extending(recipe: Path, tmp_path: Path) -> Path:
    """A recipe whose architecture extends another file."""
    (tmp_path / "own.yaml").write_text("model: own\nextends: tiny.yaml\n")
    recipe.write_text(recipe.read_text().replace("tiny.yaml", "own.yaml"))
    return recipe


def remove_in_epoch(monkeypatch: pytest.MonkeyPatch, folder: Path, epoch: int) -> dict[str, str]:
    """Remove a folder once, in the first step of an epoch; gives what described the run before, when it is there."""
    step, before = updates.Updates.step, {}

    def removing(self: updates.Updates, group: Any) -> None:
        if self.session.position.epoch == epoch and not before:
            before.update({name: (folder / name).read_text() for name in FILES})
            shutil.rmtree(folder)
        step(self, group)

    monkeypatch.setattr(updates.Updates, "step", removing)
    return before


def test_a_run_whose_folder_is_removed_describes_itself_anew(
    extending: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_run: Same
) -> None:
    whole = train(extending, ["save_every=5"], runs=tmp_path / "whole", quiet=True).folder
    folder = tmp_path / "runs" / "small"
    before = remove_in_epoch(monkeypatch, folder, epoch=1)
    train(extending, ["max_steps=18", "save_every=5"], runs=folder.parent, quiet=True)
    assert {name: (folder / name).read_text() for name in FILES} == before
    removed = f"{folder} was removed while the run trains; what describes the run is written anew"
    assert (folder / "log.txt").read_text().splitlines()[0] == removed
    monkeypatch.undo()
    resume(folder, ["max_steps=null"], quiet=True)
    assert evaluate(folder, speed=False).images == 360
    assert_same_run(folder, whole)


def test_a_run_that_went_on_describes_itself_as_it_was_begun(
    extending: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(extending, ["max_steps=1", "epochs=1"], runs=tmp_path, quiet=True).folder
    before = remove_in_epoch(monkeypatch, folder, epoch=0)
    resume(folder, ["max_steps=3"], quiet=True)
    assert {name: (folder / name).read_text() for name in FILES} == before
    assert "max_steps: 3" in before["recipe.yaml"]


@pytest.mark.parametrize("error", [MemoryError(), ZeroDivisionError("a bug")], ids=["memory", "a bug"])
def test_a_run_that_cannot_begin_leaves_no_folder(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(run, "make_session", fail)
    with pytest.raises(type(error)):
        train(recipe, runs=tmp_path / "new" / "runs", quiet=True)
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with pytest.raises(type(error)):
        train(recipe, runs=tmp_path / "old", quiet=True)
    assert list((tmp_path / "old").iterdir()) == []


def test_a_run_that_cannot_describe_itself_leaves_nothing_of_its_own(
    extending: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    save_text = description.save_text

    def full(path: Path, text: str) -> None:
        if path.name == "recipe.yaml":
            raise ZeroDivisionError
        written.append(path.name)
        save_text(path, text)

    monkeypatch.setattr(description, "save_text", full)
    with pytest.raises(ZeroDivisionError):
        train(extending, runs=tmp_path / "runs", quiet=True)
    # The recipe comes last: what has one is a run with all that describes it.
    assert written == ["architecture.yaml", "tiny.yaml", "environment.json"]
    assert not (tmp_path / "runs").exists()
    own = tmp_path / "own" / "notes.txt"
    own.parent.mkdir()
    own.touch()
    with pytest.raises(ZeroDivisionError):
        train_in(own.parent, load_recipe(extending), quiet=True)
    assert own.exists()

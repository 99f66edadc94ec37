"""A run's folder while a process trains in it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from spdbuild.errors import RecipeError
from spdbuild.system import locks
from spdbuild.training.folder.folder_lock import alone_in
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.running import updates
from spdbuild.training.running.run import resume, train

ONE = Processes()

# Later Pythons warn of forks where threads may hold locks; what is forked here needs none.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def held_by_a_child(folder: Path, meanwhile: Callable[[], None]) -> None:
    """Call `meanwhile` while another process trains in a folder, as far as others can see."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(done[1])
        with alone_in(RunFolder(folder), ONE):
            os.write(ready[1], b"1")
            os.read(done[0], 1)
        os._exit(0)
    os.close(done[0])
    os.read(ready[0], 1)
    try:
        meanwhile()
    finally:
        os.close(done[1])
        os.waitpid(child, 0)
        for descriptor in ready:
            os.close(descriptor)


def refused(folder: Path) -> str:
    with pytest.raises(RecipeError) as caught, alone_in(RunFolder(folder), ONE):
        pass
    return str(caught.value)


def free(folder: Path) -> None:
    with alone_in(RunFolder(folder), ONE):
        pass


def test_a_run_that_is_trained_is_not_resumed(recipe: Path, tmp_path: Path) -> None:
    folder = train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True).folder
    unfinished = folder / "state" / ".state.pt.abcd1234.pt"
    unfinished.touch()
    before = (folder / "recipe.yaml").read_text()

    def meanwhile() -> None:
        with pytest.raises(RecipeError) as caught:
            resume(folder, ["max_steps=2"], quiet=True)
        assert str(caught.value) == (
            f"error: {folder} is being trained by another process\n      = hint: wait for it or stop it"
        )

    held_by_a_child(folder, meanwhile)
    # What the other is about to write was left alone.
    assert unfinished.is_file()
    assert (folder / "recipe.yaml").read_text() == before
    resume(folder, ["max_steps=2"], quiet=True)
    assert not unfinished.exists()


def test_a_run_holds_its_folder_while_it_trains(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, seen = updates.Updates.step, []

    def looked(self: updates.Updates, group: object) -> None:
        seen.append(refused(tmp_path / "small"))
        step(self, group)  # type: ignore[arg-type]

    monkeypatch.setattr(updates.Updates, "step", looked)
    train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True)
    assert len(seen) == 1
    free(tmp_path / "small")


def test_a_twin_is_trained_beside_another_and_not_beside_its_run(tmp_path: Path) -> None:
    for name in ("", "one", "two"):
        (tmp_path / "run" / name).mkdir()
        (tmp_path / "run" / name / "recipe.yaml").touch()
    run = tmp_path / "run"
    with alone_in(RunFolder(run / "one"), ONE):
        free(run / "two")
        assert str(run) in refused(run)
        assert str(run / "one") in refused(run / "one")
    with alone_in(RunFolder(run), ONE):
        assert f"error: {run} is being trained" in refused(run / "one")


def test_a_worker_that_outlives_its_run_does_not_hold_the_folder(tmp_path: Path) -> None:
    told, end = os.pipe(), os.pipe()
    run = os.fork()
    if run == 0:
        with alone_in(RunFolder(tmp_path), ONE):
            if os.fork() == 0:
                os.close(end[1])
                os.write(told[1], b"1")
                os.read(end[0], 1)
                os._exit(0)
            signal.pause()
    assert os.read(told[0], 1) == b"1"
    refused(tmp_path)
    os.kill(run, signal.SIGKILL)
    os.waitpid(run, 0)
    free(tmp_path)
    for descriptor in (*told, *end):
        os.close(descriptor)


def test_every_process_of_a_run_is_refused(tmp_path: Path) -> None:
    class Second(Processes):
        def from_first(self, value: object) -> object:
            return "runs/a"

    with (
        pytest.raises(RecipeError, match="runs/a is being trained by another process"),
        alone_in(RunFolder(tmp_path), Second(rank=1, world=2)),
    ):
        pass
    # Only the first process has a lock to take.
    free(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EBADF])
def test_a_drive_without_locks_does_not_keep_a_run_from_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_locks(descriptor: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    free(tmp_path)


def test_a_system_without_locks_does_not_keep_a_run_from_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("O_DIRECTORY", "register_at_fork"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(locks, "fcntl", None)
    with alone_in(RunFolder(tmp_path), ONE):
        free(tmp_path)

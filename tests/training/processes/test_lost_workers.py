"""Processes that read images and are killed, as the system does when memory is short."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from spdbuild.errors import RunError
from spdbuild.training.processes.lost_workers import lost_workers_told
from spdbuild.training.running import updates
from spdbuild.training.running.run import resume, train

KILLED = "DataLoader worker (pid 7) is killed by signal: Killed. "


def test_what_torch_says_of_a_lost_worker_is_told_with_a_hint() -> None:
    with pytest.raises(RunError) as caught, lost_workers_told():
        raise RuntimeError(KILLED)
    assert str(caught.value) == (
        "error: a process that reads images was killed: out of memory?\n      = hint: fewer workers or a smaller batch"
    )


@pytest.mark.parametrize(
    "told",
    [
        "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers",
        "DataLoader worker (pid 7) exited unexpectedly with exit code 1. Details are lost due to multiprocessing.",
        "DataLoader worker (pid(s) 7) exited unexpectedly",
    ],
)
def test_a_worker_that_was_not_killed_is_asked_about_shared_memory(told: str) -> None:
    with pytest.raises(RunError) as caught, lost_workers_told(lambda: "go on"):
        raise RuntimeError(told)
    assert str(caught.value) == (
        "error: a process that reads images has ended: is there no room in /dev/shm, which processes share?\n"
        "      = hint: fewer workers or a smaller batch; in a container, more room there, as with "
        "`docker run --shm-size=8g`; go on"
    )


def test_another_signal_is_named() -> None:
    with pytest.raises(RunError) as caught, lost_workers_told():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Segmentation fault. ")
    assert str(caught.value) == (
        "error: a process that reads images was ended by a signal: Segmentation fault\n"
        "      = hint: workers=0 shows where"
    )


def test_a_consequence_of_a_lost_worker_is_told_as_its_cause() -> None:
    with (
        pytest.raises(RunError, match="a process that reads images was killed") as caught,
        lost_workers_told(lambda: "go on"),
        lost_workers_told(),
    ):
        _write_in_vain()
    assert caught.value.problems[0].hint == "fewer workers or a smaller batch; go on"


def _write_in_vain() -> None:
    try:
        raise RuntimeError(KILLED)
    except RuntimeError:
        raise RunError("state.pt cannot be written") from None


@pytest.mark.parametrize("error", [RuntimeError("a bug"), RunError("it diverged")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, lost_workers_told():
        raise error
    assert caught.value is error


def test_a_run_that_loses_a_worker_says_how_it_goes_on(
    small_detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = updates.Updates.step

    def killing(self: updates.Updates, group: Any) -> None:
        if self.session.position.step == 1:
            # The images to evaluate on have none yet.
            (child,) = multiprocessing.active_children()
            os.kill(child.pid or 0, signal.SIGKILL)
            # torch raises as soon as the system tells of it.
            time.sleep(60)
        step(self, group)

    monkeypatch.setattr(updates.Updates, "step", killing)
    data = "{name: tiny_objects, images: 8, size: 64}"
    recipe = (
        f"title: small\narchitecture: {small_detector}\ndata: {data}\nbatch: 4\nepochs: 20\nsave_every: 1\nworkers: 1\n"
    )
    with pytest.raises(RunError) as caught:
        train(recipe, ["save_every=1", "workers=1"], runs=tmp_path, quiet=True)
    folder = tmp_path / "small"
    assert str(caught.value) == (
        "error: a process that reads images was killed: out of memory?\n"
        f"      = hint: fewer workers or a smaller batch; go on with `spdbuild train --resume {folder}`"
    )
    monkeypatch.setattr(updates.Updates, "step", step)
    resume(folder, ["max_steps=4"], quiet=True)

"""A detector's run that is ended from outside, in the middle of an epoch or of a save, and resumed."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from spdbuild.training.running.run import resume, train

Same = Callable[[Path, Path], None]

#: What draws numbers for each batch and each picture.
DRAWING = ["task.augment.multi_scale=0.5", "task.augment.mixup=0.3"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.slow
def test_a_signal_saves_and_leaves_and_loses_nothing(
    recipe: Path,
    tmp_path: Path,
    number: signal.Signals,
    assert_same_run: Same,
    interrupt: Callable[[Path, list[str], Path, signal.Signals], tuple[int, str]],
) -> None:
    options = [*DRAWING, "epochs=8", "save_every=2"]
    whole = train(recipe, options, quiet=True, runs=tmp_path / "whole").folder
    code, message = interrupt(recipe, options, tmp_path / "part", number)
    folder = tmp_path / "part" / "small"
    assert f"spdbuild train --resume {folder}" in message
    assert code == 1
    resume(folder, quiet=True)
    assert_same_run(folder, whole)


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(
    recipe: Path,
    tmp_path: Path,
    assert_same_run: Same,
    killed_runs: Callable[[Path, list[str], list[int]], list[Path]],
) -> None:
    options = [*DRAWING, "epochs=2", "save_every=1"]
    whole = train(recipe, options, quiet=True, runs=tmp_path / "whole").folder
    for folder in killed_runs(recipe, options, random.Random(0).sample(range(20, 60), 10)):
        assert (folder / "state" / "state.pt").is_file()
        resume(folder, quiet=True)
        assert_same_run(folder, whole)
        # Nothing is left of the files that were being written.
        assert not list(folder.rglob(".*"))

"""Signals to all processes of a run, as a terminal or a batch system sends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spdbuild.training.checkpoint import load_state

RECIPE = """\
title: small
architecture: {architecture}
data: {{name: tiny_objects, images: 32, size: 64}}
batch: 4
epochs: 1000
workers: 2
precision: fp32
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_group_that_is_told_to_stop_saves_and_says_so(
    small_detector: Path, tmp_path: Path, number: signal.Signals
) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE.format(architecture=small_detector))
    command = [sys.executable, "-m", "spdbuild", "train", str(recipe), "--runs", str(tmp_path)]
    run = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    folder = tmp_path / "small"
    while not (folder / "state" / "state.pt").is_file() and run.poll() is None:
        time.sleep(0.005)
    os.killpg(run.pid, number)
    said = run.communicate(timeout=120)[1]
    assert run.returncode == 128 + number, said
    last = load_state(folder / "state" / "state.pt").position
    assert said[said.index("error: ") :] == (
        f"error: stopped by {number.name} after step {last['step']}; the state is saved\n"
        f"      = hint: go on with `spdbuild train --resume {folder}`\n"
    )

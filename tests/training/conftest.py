"""A network and a recipe that train in a fraction of a second; runs compared, and runs of several processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spdbuild.training.checkpoint import load_state

Rows = list[dict[str, Any]]

#: What depends on the clock.
TIMING = ("seconds", "images_per_second")

ARCHITECTURE = """\
model: tiny
inputs: {image: [3, 8, 8]}
vars: {classes: 10}
layers:
  - stem: conv2d(8, 3)
  - norm: batch_norm()
  - relu()
  - down: conv2d(16, 3, stride=2)
  - norm2: batch_norm()
  - relu()
  - global_avg_pool()
  - dropout(0.1)
  - head: linear(classes)
"""

DETECTOR = """\
model: tiny
inputs: {image: [3, 64, 64]}
vars: {classes: 6, anchors: {fine: [[6, 6], [9, 9]], coarse: [[14, 14], [17, 17]]}}
layers:
  - stem: conv2d(8, 3, stride=4)
  - norm: batch_norm()
  - fine: conv2d(8, 1)
  - coarse: conv2d(8, 3, stride=2)
  - detect: detect(classes, anchors, strides=[4, 8]) <- fine, coarse
"""

RECIPE = """\
architecture: {architecture}
data: {{name: digits}}
augment: [{{name: random_crop, padding: 1}}]
batch: 128
epochs: 3
precision: fp32
workers: 0
ema: {{decay: 0.99, ramp: 10}}
"""


TRAIN = "from spdbuild.training.running.run import train; train({recipe!r}, {options!r}, runs={runs!r}, quiet=True)"

#: Trains in a fork for each moment: every step, fsync and rename is one at which the fork can be killed.
KILL = """
import os, signal
from pathlib import Path
from spdbuild.training.running import run, updates

# What a run imports on its way is imported once, not in each fork.
run.train({recipe!r}, {options!r}, runs={runs!r}, quiet=True)

def counted(function, moment, count=[0]):
    def call(*arguments, **named):
        count[0] += 1
        if count[0] == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call

for moment in {moments!r}:
    if os.fork() == 0:
        updates.Updates.step = counted(updates.Updates.step, moment)
        os.fsync = counted(os.fsync, moment)
        Path.replace = counted(Path.replace, moment)
        run.train({recipe!r}, {options!r}, runs=Path({runs!r}) / str(moment), quiet=True)
        os._exit(0)
    print(moment, os.waitstatus_to_exitcode(os.wait()[1]))
"""


@pytest.fixture
def small_detector(tmp_path: Path) -> Path:
    """The file of a detector of 64x64 pixels that trains in a second."""
    path = tmp_path / "detector.yaml"
    path.write_text(DETECTOR)
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """The file of a recipe: three epochs of twelve steps on handwritten digits."""
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    architecture = tmp_path / "tiny.yaml"
    architecture.write_text(ARCHITECTURE)
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE.format(architecture=architecture))
    return path


@pytest.fixture
def rows() -> Callable[[Path], Rows]:
    """The rows of the run in a folder without what depends on the clock."""

    def read(folder: Path) -> Rows:
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        return [{key: value for key, value in json.loads(line).items() if key not in TIMING} for line in lines]

    return read


@pytest.fixture
def assert_same_run(rows: Callable[[Path], Rows]) -> Callable[[Path, Path], None]:
    """Holds if the runs in two folders have the same rows and, bit for bit, the same weights and states."""

    def check(folder: Path, other: Path) -> None:
        for name in ("last", "best"):
            weights, expected = (load_file(f / "weights" / f"{name}.safetensors") for f in (folder, other))
            assert weights.keys() == expected.keys()
            for key, tensor in weights.items():
                assert torch.equal(tensor, expected[key]), key
        assert rows(folder) == rows(other)
        states = [load_state(f / "state" / "state.pt") for f in (folder, other)]
        for key, tensor in states[0].model.items():
            assert torch.equal(tensor, states[1].model[key]), key

    return check


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads here as in other processes of a test, because sums of several threads are rounded differently."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def start_training(one_thread: None) -> Callable[[Path, list[str], Path], subprocess.Popen[str]]:
    """Trains a recipe with overrides below a folder, in a process of its own."""

    def start(recipe: Path, options: list[str], runs: Path) -> subprocess.Popen[str]:
        return _python(TRAIN.format(recipe=str(recipe), options=options, runs=str(runs)))

    return start


@pytest.fixture
def interrupt(
    start_training: Callable[[Path, list[str], Path], subprocess.Popen[str]],
) -> Callable[[Path, list[str], Path, signal.Signals], tuple[int, str]]:
    """Trains as `start_training`, sends a signal behind the first saved state, and gives exit code and last words."""

    def run(recipe: Path, options: list[str], runs: Path, number: signal.Signals) -> tuple[int, str]:
        child = start_training(recipe, options, runs)
        while not (runs / recipe.stem / "state" / "state.pt").is_file() and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(number)
        message = child.communicate(timeout=120)[1]
        return child.returncode, message

    return run


@pytest.fixture
def killed_runs(tmp_path: Path, one_thread: None) -> Callable[[Path, list[str], list[int]], list[Path]]:
    """The folders of runs of a recipe that were killed, each at another moment."""

    def run(recipe: Path, options: list[str], moments: list[int]) -> list[Path]:
        child = _python(KILL.format(moments=moments, recipe=str(recipe), options=options, runs=str(tmp_path)))
        output, errors = child.communicate(timeout=240)
        assert output.splitlines() == [f"{moment} {-signal.SIGKILL}" for moment in moments], errors
        return [tmp_path / str(moment) / recipe.stem for moment in moments]

    return run


@pytest.fixture
def run_processes() -> Callable[[int, str], list[str]]:
    """Runs Python code in processes that know each other, as torchrun does, and gives what each printed."""

    def run(count: int, code: str) -> list[str]:
        shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        children = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                env={**shared, "WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(count)
        ]
        try:
            printed = [child.communicate(timeout=240) for child in children]
        finally:
            for child in children:
                child.kill()
        assert [child.returncode for child in children] == [0] * count, [errors for _, errors in printed]
        return [output for output, _ in printed]

    return run


@pytest.fixture
def torchrun(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Python code by torchrun in `count` processes, which are started anew `restarts` times."""

    def run(count: int, code: str, restarts: int = 0) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(code)
        options = ["--nproc-per-node", str(count), "--max-restarts", str(restarts), "--master-port", str(_free_port())]
        command = [sys.executable, "-m", "torch.distributed.run", *options, str(script)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)

    return run


def _python(code: str) -> subprocess.Popen[str]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)  # type: ignore[call-overload,no-any-return]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port

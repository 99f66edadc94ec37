"""torchrun with a worker that dies: the job starts anew where it was last saved, or ends and says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spdbuild.training.checkpoint import load_state

Same = Callable[[Path, Path], None]
Start = Callable[..., subprocess.Popen[str]]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").is_file(), reason="torchrun's workers are found below /proc"),
]


@pytest.fixture
def start_job() -> Iterator[Start]:
    """Starts a job of two processes, which may be started anew `restarts` times; none outlives its test."""
    jobs: list[subprocess.Popen[str]] = []

    def start(recipe: Path, options: tuple[str, ...], runs: Path, restarts: int = 0) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
        command += [f"--max-restarts={restarts}", "-m", "spdbuild", "train", str(recipe), *options, "--runs", str(runs)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        jobs.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return jobs[-1]

    yield start
    for job in jobs:
        job.terminate()
        job.communicate()


def worker(job: subprocess.Popen[str], rank: int) -> int:
    """The number of a process that torchrun has started."""
    for child in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split():
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return int(child)
    raise AssertionError(f"torchrun has no process of rank {rank}")


def kill_after_the_first_state(job: subprocess.Popen[str], folder: Path, rank: int) -> int:
    """End a worker as nothing can be caught; gives its number."""
    while not (folder / "state" / "state.pt").is_file():
        assert job.poll() is None, job.communicate()[1]
        time.sleep(0.005)
    killed = worker(job, rank)
    os.kill(killed, signal.SIGKILL)
    return killed


@pytest.fixture
def detection_recipe(tmp_path: Path, small_detector: Path) -> Path:
    path = tmp_path / "small.yaml"
    lines = (f"architecture: {small_detector}", "precision: fp32", "workers: 0")
    path.write_text("\n".join((*lines, "data: {name: tiny_objects, images: 16, size: 64}", "batch: 4")))
    return path


@pytest.mark.parametrize(
    ("fixture", "options", "rank"),
    [("recipe", ("epochs=10", "save_every=5"), 1), ("detection_recipe", ("epochs=5", "save_every=3"), 0)],
    ids=["classification", "detection"],
)
def test_a_job_whose_worker_is_killed_ends_as_if_nothing_had_happened(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fixture: str,
    options: tuple[str, ...],
    rank: int,
    assert_same_run: Same,
    start_job: Start,
) -> None:
    recipe = request.getfixturevalue(fixture)
    whole = start_job(recipe, options, tmp_path / "whole")
    said = whole.communicate(timeout=300)[1]
    assert whole.returncode == 0, said
    job = start_job(recipe, options, tmp_path / "killed", restarts=1)
    killed = kill_after_the_first_state(job, tmp_path / "killed" / "small", rank)
    said = job.communicate(timeout=300)[1]
    assert job.returncode == 0, said
    assert f"failed (exitcode: -9) local_rank: {rank} (pid: {killed})" in said
    assert "small: going on in epoch" in said
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["small"]
    assert_same_run(tmp_path / "killed" / "small", tmp_path / "whole" / "small")


def test_a_job_that_may_not_start_anew_ends_and_names_the_worker(
    recipe: Path, tmp_path: Path, start_job: Start
) -> None:
    job = start_job(recipe, ("epochs=10", "save_every=5"), tmp_path / "runs")
    folder = tmp_path / "runs" / "small"
    killed = kill_after_the_first_state(job, folder, rank=1)
    said = job.communicate(timeout=300)[1]
    assert job.returncode != 0
    assert f"failed (exitcode: -9) local_rank: 1 (pid: {killed})" in said
    line = next(line for line in said.splitlines() if line.startswith("error: "))
    assert line.startswith("error: another process of the run has ended: ")
    assert "Connection" in line
    assert "third_party" not in line
    assert load_state(folder / "state" / "state.pt").position["step"] >= 5

"""Several processes are one run: the same losses, the same weights, every test image once."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from spdbuild.training.run import train

TRAIN = "from spdbuild.training.run import train; train({recipe!r}, {options!r}, runs={runs!r}, quiet=True)"

#: No dropout, whose numbers each process draws for itself, and batches that two processes cannot halve evenly.
OPTIONS = ["epochs=2", "batch=125", "optimizer.lr=0.05"]


def run_processes(count: int, code: str) -> None:
    """What torchrun does: `count` processes that know each other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env={**shared, "WORLD_SIZE": str(count), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    errors = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [0] * count, errors


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_whole_batch(recipe: Path, tmp_path: Path) -> None:
    architecture = tmp_path / "tiny.yaml"
    architecture.write_text(architecture.read_text().replace("  - dropout(0.1)\n", ""))
    single = train(recipe, OPTIONS, runs=tmp_path / "one", quiet=True).folder
    run_processes(2, TRAIN.format(recipe=str(recipe), options=OPTIONS, runs=str(tmp_path / "two")))
    double = tmp_path / "two" / "small"
    for one, two in zip(rows(single), rows(double), strict=True):
        assert two["train/loss"] == pytest.approx(one["train/loss"], rel=1e-4)
        assert two["test/loss"] == pytest.approx(one["test/loss"], rel=1e-3)
        # 360 test images: one more or less would show.
        assert (two["test/top1"] * 360) % 1 == pytest.approx(0, abs=1e-9)
    weights, expected = (load_file(folder / "weights" / "last.safetensors") for folder in (double, single))
    for name, tensor in expected.items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-2, atol=1e-4)


@pytest.mark.slow
def test_a_restarted_job_goes_on_in_the_folder_of_the_first(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(recipe, ["max_steps=14"], runs=tmp_path, quiet=True)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    result = train(recipe, runs=tmp_path, quiet=True)
    assert result.folder == tmp_path / "small"
    assert [row["epoch"] for row in rows(result.folder)] == [1, 2, 3]

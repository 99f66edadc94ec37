"""The scripts in benchmarks/ run and print their ratios; how large these are is for docs/results.md to say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "pattern"),
    [
        (
            "training_throughput.py",
            "--architecture cifar_resnet20 --images 32 --batch 16 --rounds 1",
            r"^(fp32|bf16) and channels_last: \d+\.\d\d times the same by hand$",
        ),
        ("data_loading.py", "--rounds 1", r"\d+\.\d+"),
        (
            "freed_memory.py",
            "--network cifar_resnet20 --rounds 1 --threads 1",
            r"^cifar_resnet20 +32 +128( +\d+\.\d\d){6}$",
        ),
        ("data_loading.py", "--augment trivial_augment --size 64 --rounds 1", r"^ratio \d+\.\d$"),
    ],
)
def test_a_script_prints_its_ratio(script: str, arguments: str, pattern: str) -> None:
    command = [sys.executable, str(BENCHMARKS / script), *arguments.split()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.search(pattern, done.stdout.splitlines()[-1]), done.stdout

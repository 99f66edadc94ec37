"""Training through torch.compile."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spdbuild.training.running.run import resume, train


@pytest.mark.slow
def test_a_compiled_run_is_the_eager_one_within_rounding(recipe: Path, tmp_path: Path) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile needs a C++ compiler on the CPU")
    options = ["precision=fp32", "epochs=1", "max_steps=4", "device=cpu"]
    eager = train(recipe, options, runs=tmp_path / "eager", quiet=True)
    compiled = train(recipe, [*options, "compile=true"], runs=tmp_path / "compiled", quiet=True)
    assert compiled.metrics["loss"] == pytest.approx(eager.metrics["loss"], rel=1e-3)
    # Its weights have the names of the network, so it goes on like any other.
    assert resume(compiled.folder, ["max_steps=6"], quiet=True).reason == "max_steps=6 is reached"


@pytest.mark.slow
def test_a_compiled_run_that_was_stopped_is_the_uninterrupted_one(
    recipe: Path, tmp_path: Path, assert_same_run: Callable[[Path, Path], None]
) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("torch.compile needs a C++ compiler on the CPU")
    # The last batch of an epoch is smaller, and the stop lies behind it.
    options = ["precision=fp32", "epochs=2", "device=cpu", "compile=true"]
    whole = train(recipe, options, runs=tmp_path / "whole", quiet=True)
    torch.compiler.reset()
    part = train(recipe, [*options, "max_steps=12"], runs=tmp_path / "part", quiet=True)
    torch.compiler.reset()
    resume(part.folder, ["max_steps=null"], quiet=True)
    assert_same_run(part.folder, whole.folder)

"""What a run says when the memory of its device is full."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from spdbuild.errors import RunError
from spdbuild.training.running.run import resume, train
from spdbuild.training.trained.evaluate import evaluate


def fill_memory(patch: pytest.MonkeyPatch, *, training: bool) -> None:
    """Let the memory be full at the first convolution of a batch, while training or while evaluating."""
    forward = nn.Conv2d.forward

    def full(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        if len(x) > 1 and self.training == training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, x)

    patch.setattr(nn.Conv2d, "forward", full)


def test_training_names_the_batch_and_a_smaller_one(recipe: Path, tmp_path: Path, monkeypatch) -> None:
    fill_memory(monkeypatch, training=True)
    with pytest.raises(RunError) as caught:
        train(recipe, ["batch=64"], runs=tmp_path, quiet=True)
    assert str(caught.value) == (
        "error: the memory does not hold the training on a batch of 64 images\n"
        "      = hint: start anew with a smaller batch, such as batch=32 accumulate=2, or smaller images"
    )


def test_a_run_with_a_state_can_go_on(recipe: Path, tmp_path: Path, monkeypatch) -> None:
    folder = train(recipe, ["epochs=2", "max_steps=1"], runs=tmp_path, quiet=True).folder
    with monkeypatch.context() as patch:
        fill_memory(patch, training=True)
        with pytest.raises(RunError) as caught:
            resume(folder, ["max_steps=null"], quiet=True)
        assert str(caught.value).endswith(f"; or go on with `spdbuild train --resume {folder}`")
    resume(folder, ["max_steps=2"], quiet=True)


def test_evaluation_asks_for_a_smaller_test_batch_which_a_resumed_run_takes(
    recipe: Path, tmp_path: Path, monkeypatch
) -> None:
    folder = train(recipe, ["epochs=2", "max_steps=1"], runs=tmp_path, quiet=True).folder
    with monkeypatch.context() as patch:
        fill_memory(patch, training=False)
        for run in (lambda: evaluate(folder, speed=False), lambda: resume(folder, ["max_steps=2"], quiet=True)):
            with pytest.raises(RunError, match="the memory does not hold the evaluation of a batch") as caught:
                run()
            assert caught.value.problems[0].hint == "a smaller test_batch"
    resume(folder, ["max_steps=2", "test_batch=1"], quiet=True)


def test_a_state_for_which_there_is_no_room_is_not_called_damaged(recipe: Path, tmp_path: Path, monkeypatch) -> None:
    folder = train(recipe, ["epochs=2", "max_steps=1"], runs=tmp_path, quiet=True).folder

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for owner in (nn.Module, torch.optim.SGD):
        with monkeypatch.context() as patch:
            patch.setattr(owner, "load_state_dict", full)
            with pytest.raises(RunError, match="the memory does not hold the state of the run"):
                resume(folder, ["max_steps=2"], quiet=True)
    resume(folder, ["max_steps=2"], quiet=True)

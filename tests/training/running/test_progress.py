"""What a run says of itself on the way."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from spdbuild.training.checkpoint import Position
from spdbuild.training.running.progress import describe_position, describe_row, time_left

ROW = {
    "epoch": 2,
    "step": 9,
    "lr": 0.01,
    "train/loss": 1.5,
    "test/AP": 0.25,
    "test/AP75": 0.5,
    "images_per_second": 70.4,
}


def session(position: Position, **limits: Any) -> Any:
    """A run of four epochs of ten batches, of which `position.epoch` are complete."""
    return SimpleNamespace(
        position=position,
        first_batch=10 * position.epoch,
        data=SimpleNamespace(train_batches=range(10)),
        recipe=SimpleNamespace(**{"epochs": 4, "max_steps": None, "max_minutes": None, **limits}),
        task=SimpleNamespace(monitor="top1"),
    )


def test_a_row_shows_the_metrics_that_the_task_names() -> None:
    assert (
        describe_row(ROW, 4) == "epoch 2/4  train/loss 1.5000  test/AP 0.2500  test/AP75 0.5000  lr 0.01  70 images/s"
    )
    assert describe_row(ROW, 4, ("AP",)) == "epoch 2/4  train/loss 1.5000  test/AP 0.2500  lr 0.01  70 images/s"


def test_a_bar_has_means_and_speed_and_the_time_that_the_run_takes() -> None:
    sums = {"loss": torch.tensor(6.0), "top1": torch.tensor(3.0)}
    position = Position(epoch=1, batch=6, sums=sums, images=4, best=0.5)
    assert describe_position(session(position), 1234.4, 160.0) == (
        "loss 1.5000  top1 0.7500  1,234 images/s  best top1 0.5000  run: 0:04:00 left"
    )


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [({}, 120), ({"max_steps": 40}, 40), ({"max_minutes": 1.0}, 20), ({"max_minutes": 0.1}, 0)],
    ids=["epochs", "steps", "minutes", "minutes that are over"],
)
def test_the_nearest_limit_says_how_long_a_run_takes(limits: dict[str, Any], seconds: int) -> None:
    # A quarter of the batches, half of the steps, two thirds of the minute.
    position = Position(epoch=1, step=20)
    assert time_left(session(position, **limits), 40.0) == timedelta(seconds=seconds)

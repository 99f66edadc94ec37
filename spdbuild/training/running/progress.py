"""The messages of a run about its progress."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

import torch

from spdbuild.training.folder.run_folder import Row

if TYPE_CHECKING:
    from spdbuild.training.running.session import Session


def describe_row(row: Row, epochs: int, shown: tuple[str, ...] = ()) -> str:
    """A row as a log line, with the metrics in `shown`, or all if it is empty."""
    skipped = {"epoch", "step", "seconds", "images_per_second", "lr"}
    if shown:
        skipped |= {name for name in row if name.startswith("test/") and name.removeprefix("test/") not in shown}
    metrics = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name not in skipped)
    return f"epoch {row['epoch']}/{epochs}  {metrics}  lr {row['lr']:.4g}  {row['images_per_second']:.0f} images/s"


def describe_position(session: Session, images_per_second: float, seconds: float) -> str:
    """The progress within an epoch: mean losses since its start, speed, the best metric so far, and the time left.

    seconds: training time of the run so far.
    """
    position = session.position
    means = (torch.stack([*position.sums.values()]) / position.images).tolist()
    said = [f"{name} {mean:.4f}" for name, mean in zip(position.sums, means, strict=True)]
    said.append(f"{images_per_second:,.0f} images/s")
    if math.isfinite(position.best):
        said.append(f"best {session.task.monitor} {position.best:.4f}")
    return "  ".join([*said, f"run: {time_left(session, seconds)} left"])


def time_left(session: Session, seconds: float) -> timedelta:
    """The time to the end of a run or its nearest limit, extrapolated from the `seconds` so far."""
    recipe, position = session.recipe, session.position
    batches = session.first_batch + position.batch
    done = [
        batches / (recipe.epochs * len(session.data.train_batches)),
        position.step / (recipe.max_steps or math.inf),
        seconds / 60 / (recipe.max_minutes or math.inf),
    ]
    return timedelta(seconds=round(seconds / min(max(done), 1) - seconds))

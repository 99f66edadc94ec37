"""What the training engine asks of a kind of problem. `TASKS` finds them by name; the engine knows none of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from spdbuild.registry import Registry


class Batches(Protocol):
    """What a data set gives the loop: batches of (images, targets) in an order that (seed, epoch) determine."""

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Which epoch the next iteration is, and how many of its batches are skipped."""

    def __len__(self) -> int:
        """Batches of a whole epoch."""

    def __iter__(self) -> Any: ...


@dataclass(frozen=True)
class Evaluation:
    """What a model does on a data set.

    scalars: metrics by name, each one number.
    classes: names of classes.
    rows: one mapping of metrics a class, in the order of `classes`.
    confusion: [classes, outputs] counts, true class by predicted class, where the task has such a thing.
    """

    scalars: dict[str, float]
    classes: tuple[str, ...] = ()
    rows: tuple[dict[str, float], ...] = ()
    confusion: Tensor | None = None
    details: dict[str, Any] = field(default_factory=dict)


class Meter(Protocol):
    """Gathers what a model gives, batch by batch; a meter of each process, merged in the end."""

    def update(self, outputs: Any, targets: Any) -> None:
        """Take in one batch, on whatever device it is, without waiting for the device."""

    def state(self) -> dict[str, Any]:
        """What `merge` of another process's meter needs; tensors on the CPU."""

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        """Become the meter of all processes, given every process's state, this one's among them."""

    def evaluation(self) -> Evaluation:
        """The metrics of everything taken in."""


class Task:
    """Base of all tasks.

    A task opens data, turns outputs into a loss and into metrics, and predicts for files.
    """

    name: ClassVar[str] = ""
    #: The metric, higher is better, that says which epoch is the best.
    monitor: ClassVar[str]
    #: Name of the loss of a recipe that gives none.
    default_loss: ClassVar[str]

    def open(self, recipe: Any, split: str) -> Any:
        """The images of "train" or "test"; raises DataError. What it returns has `classes` and a length."""
        raise NotImplementedError

    def batches(
        self, recipe: Any, images: Any, *, training: bool, rank: int, world: int, device: torch.device
    ) -> Batches:
        """Batches for the process `rank` of `world`: its part of each batch when training, else its part of all."""
        raise NotImplementedError

    def criterion(self, recipe: Any, model: nn.Module, classes: tuple[str, ...]) -> Any:
        """A function (outputs, targets) -> mapping of losses; the entry `loss`, a mean over the batch, is minimised."""
        raise NotImplementedError

    def distance(self, outputs: Any, teacher_outputs: Any, temperature: float) -> Tensor:
        """How far outputs are from those of a teacher, for distillation."""
        raise NotImplementedError

    def meter(self, recipe: Any, model: nn.Module, classes: tuple[str, ...], device: torch.device) -> Meter:
        """An empty meter."""
        raise NotImplementedError

    def check(self, outputs: Any, classes: tuple[str, ...]) -> None:
        """Refuse a network whose outputs for one batch do not fit the data; raises RecipeError."""

    def predict(
        self, recipe: Any, model: nn.Module, classes: tuple[str, ...], input: tuple[int, ...], files: list[Path]
    ) -> Iterable[dict[str, Any]]:
        """One plain mapping a file: what the model, in eval mode, sees in it. input: shape [C, H, W] in training."""
        raise NotImplementedError


TASKS: Registry[Task] = Registry("task", "spdbuild.training.tasks", "spdbuild.tasks")

"""The base of all schedules, with the warm-up before them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.registry import Registry
from spdbuild.errors import ArgumentError

if TYPE_CHECKING:
    from spdbuild.training.optimizers import Optimizer


@dataclass(frozen=True)
class Schedule:
    """Base of all schedules: frozen dataclasses whose fields are the keys of the section `schedule`.

    A schedule depends on the batch's number alone and keeps no state, so a resumed run continues unchanged.

    per: whether the learning rate changes at every step or only between epochs.
    warmup_epochs: length of the warm-up in epochs, over which the values move linearly to those of the schedule.
    warmup_batches: minimum length of the warm-up in batches.
    warmup_start: learning rate at the very first batch, as a factor of the optimizer's.
    warmup_bias_lr: learning rate of biases at the very first batch; empty: as for other parameters.
    warmup_momentum: momentum at the very first batch; empty: no warm-up of the momentum.
    warmup_accumulate: whether the number of batches per step grows from 1 to its full value over the warm-up.
    """

    name: ClassVar[str] = ""

    per: Literal["step", "epoch"] = "step"
    warmup_epochs: float = 0.0
    warmup_batches: int = 0
    warmup_start: float = 0.1
    warmup_bias_lr: float | None = None
    warmup_momentum: float | None = None
    warmup_accumulate: bool = False

    def __post_init__(self) -> None:
        require_range(self, "warmup_epochs", "warmup_batches", "warmup_bias_lr", least=0)
        require_range(self, "warmup_start", least=0, most=1)
        require_range(self, "warmup_momentum", least=0, below=1)

    def check_optimizer(self, optimizer: Optimizer) -> None:
        """Refuse a warm-up of the momentum for an optimizer that has none or cannot start from it; ArgumentError."""
        if self.warmup_momentum is None:
            return
        if not hasattr(optimizer, "momentum") and not hasattr(optimizer, "betas"):
            raise ArgumentError(
                f"{optimizer.name} has no momentum to warm up", argument="schedule", hint="leave out warmup_momentum"
            )
        # torch allocates RMSprop's momentum buffer at the first step, and only if there is momentum then.
        if optimizer.name == "rmsprop" and self.warmup_momentum == 0:
            raise ArgumentError(
                "the momentum of rmsprop cannot start from 0", argument="schedule", hint="set warmup_momentum: 0.001"
            )

    def check_epochs(self, epochs: int) -> None:
        """Refuse a warm-up that fills the run, so that the full learning rate is never reached; ArgumentError."""
        if self.warmup_epochs >= epochs:
            message = f"warmup_epochs={self.warmup_epochs:g} is not below epochs={epochs}"
            hint = f"set schedule.warmup_epochs={'0' if epochs == 1 else '1'}"
            raise ArgumentError(message, argument="warmup_epochs", hint=hint)

    def factor(self, epoch: float, epochs: int) -> float:
        """Learning rate as a factor of the optimizer's, after `epoch` of `epochs`."""
        raise NotImplementedError

    def warmup(self, batches_per_epoch: int) -> int:
        """Length of the warm-up in batches."""
        return max(round(self.warmup_epochs * batches_per_epoch), self.warmup_batches)

    def rates(
        self,
        batch: int,
        batches_per_epoch: int,
        epochs: int,
        lr: float,
        momentum: float,
        *,
        begin: int | None = None,
    ) -> Rates:
        """The values for the update after batch number `batch` of the run, counted from 0.

        begin: first batch of that step, if it has several. The warm-up follows the last one, as published for YOLOv5;
            the rest follows the first one, so that a step of several batches equals one of a large batch.
        """
        epoch = (batch if begin is None else begin) / batches_per_epoch
        target = lr * self.factor(math.floor(epoch) if self.per == "epoch" else epoch, epochs)
        length = self.warmup(batches_per_epoch)
        if batch >= length:
            return Rates(target, target, momentum)
        share = batch / length
        bias_start = lr * self.warmup_start if self.warmup_bias_lr is None else self.warmup_bias_lr
        momentum_start = momentum if self.warmup_momentum is None else self.warmup_momentum
        return Rates(
            _between(lr * self.warmup_start, target, share),
            _between(bias_start, target, share),
            _between(momentum_start, momentum, share),
        )


SCHEDULES: Registry[Schedule] = Registry("schedule", "spdbuild.training.schedules", "spdbuild.schedules")


@dataclass(frozen=True)
class Rates:
    """What a schedule sets at a step: the learning rates of weights and of biases, and the momentum."""

    lr: float
    bias_lr: float
    momentum: float

    def apply(self, optimizer: torch.optim.Optimizer) -> None:
        """Write the values into the groups of `optimizer`: the learning rate of their `role`, times their `scale`."""
        for group in optimizer.param_groups:
            group["lr"] = (self.bias_lr if group.get("role") == "bias" else self.lr) * group.get("scale", 1.0)
            if "momentum" in group:
                group["momentum"] = self.momentum
            elif "betas" in group:
                group["betas"] = (self.momentum, *group["betas"][1:])


def keep_own_rates(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Make the learning rate that a group has for itself its `scale`, so that a schedule keeps it in proportion.

    lr: that of the recipe. A group has one of its own if it is not the default of `optimizer`.
    """
    for group in optimizer.param_groups:
        if "scale" not in group and group.get("lr") != optimizer.defaults.get("lr"):
            group["scale"] = group["lr"] / lr


def lr_of(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate of the first group, whose scale does not count."""
    group = optimizer.param_groups[0]
    return float(group["lr"] / group.get("scale", 1.0))


def momentum_of(optimizer: torch.optim.Optimizer) -> float:
    """The momentum of an optimizer before any warm-up: `momentum`, or the first of `betas`, or 0."""
    defaults: dict[str, Any] = optimizer.defaults
    return float(defaults["betas"][0] if "betas" in defaults else defaults.get("momentum", 0.0))


def _between(start: float, end: float, share: float) -> float:
    return start + (end - start) * share

"""The schedules: what becomes of the learning rate over the epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError
from spdbuild.training.schedules.schedule import SCHEDULES, Schedule


@SCHEDULES.register
@dataclass(frozen=True)
class Constant(Schedule):
    """The optimizer's learning rate, except during the warm-up."""

    def factor(self, epoch: float, epochs: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Falling(Schedule):
    """A schedule whose factor falls from 1 to `final` at the end of the last epoch."""

    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "final", least=0)


@SCHEDULES.register
@dataclass(frozen=True)
class Cosine(Falling):
    """Half a cosine from 1 down to `final` at the end of the last epoch.

    final: factor of the learning rate at the end.

    Source: Loshchilov and Hutter 2016, "SGDR", arXiv:1608.03983, equation 5, without restarts.
    """

    def factor(self, epoch: float, epochs: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(epoch / epochs, 1))) / 2


@SCHEDULES.register
@dataclass(frozen=True)
class Linear(Falling):
    """A straight line from 1 down to `final` at the end of the last epoch.

    final: factor of the learning rate at the end.
    """

    def factor(self, epoch: float, epochs: int) -> float:
        return 1 - (1 - self.final) * min(epoch / epochs, 1)


@SCHEDULES.register
@dataclass(frozen=True, kw_only=True)
class MultiStep(Schedule):
    """Multiply the learning rate by `gamma` at each milestone.

    milestones: growing numbers of completed epochs at which the factor changes; 60 comes after the epochs 0 to 59.
    gamma: what the learning rate is multiplied by at each milestone.
    """

    milestones: tuple[float, ...]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "milestones", "gamma", least=0)
        if list(self.milestones) != sorted(set(self.milestones)):
            listed = ", ".join(f"{m:g}" for m in self.milestones)
            raise ArgumentError(f"milestones must grow, got {listed}", argument="milestones")

    def factor(self, epoch: float, epochs: int) -> float:
        return float(self.gamma ** sum(milestone <= epoch for milestone in self.milestones))


@SCHEDULES.register
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine up to the optimizer's learning rate and half a cosine down.

    peak: share of the run after which the learning rate is the optimizer's.
    initial: factor of the learning rate at the start.
    final: factor of the learning rate at the end.

    The momentum stays what it is; torch's OneCycleLR lowers it meanwhile, and reaches `final` a step earlier.

    Source: Smith and Topin 2017, "Super-Convergence", arXiv:1708.07120, with cosines as in torch.optim.
    """

    peak: float = 0.3
    initial: float = 0.04
    final: float = 0.000004

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "peak", above=0, below=1)
        require_range(self, "initial", "final", least=0)

    def factor(self, epoch: float, epochs: int) -> float:
        done = min(epoch / epochs, 1)
        if done < self.peak:
            return _cosine(self.initial, 1.0, done / self.peak)
        return _cosine(1.0, self.final, (done - self.peak) / (1 - self.peak))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


@SCHEDULES.register
@dataclass(frozen=True)
class Poly(Falling):
    """Polynomial decay: (1 - share of the run that is done) ** power, down to `final`.

    final: factor of the learning rate at the end.
    power: exponent; 1 is a straight line.
    """

    power: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "power", above=0)

    def factor(self, epoch: float, epochs: int) -> float:
        return float(self.final + (1 - self.final) * (1 - min(epoch / epochs, 1)) ** self.power)

"""A constant learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from spdbuild.training.schedules.schedule import SCHEDULES, Schedule


@SCHEDULES.register
@dataclass(frozen=True)
class Constant(Schedule):
    """The optimizer's learning rate, except during the warm-up."""

    def factor(self, epoch: float, epochs: int) -> float:
        return 1.0

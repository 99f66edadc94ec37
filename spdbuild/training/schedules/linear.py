"""A straight line."""

from __future__ import annotations

from dataclasses import dataclass

from spdbuild.ranges import require_range
from spdbuild.training.schedules.schedule import SCHEDULES, Schedule


@SCHEDULES.register
@dataclass(frozen=True)
class Linear(Schedule):
    """A straight line from 1 down to `final` at the end of the last epoch.

    final: factor of the learning rate at the end.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "final", least=0)

    def factor(self, epoch: float, epochs: int) -> float:
        return 1 - (1 - self.final) * min(epoch / epochs, 1)

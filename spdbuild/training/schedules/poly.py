"""Polynomial decay: a power of what is left of the run."""

from __future__ import annotations

from dataclasses import dataclass

from spdbuild.ranges import require_range
from spdbuild.training.schedules.schedule import SCHEDULES, Schedule


@SCHEDULES.register
@dataclass(frozen=True)
class Poly(Schedule):
    """Polynomial decay: (1 - share of the run that is done) ** power, down to `final`.

    power: exponent; 1 is a straight line.
    final: factor of the learning rate at the end.
    """

    power: float = 0.9
    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "power", above=0)
        require_range(self, "final", least=0)

    def factor(self, epoch: float, epochs: int) -> float:
        return float(self.final + (1 - self.final) * (1 - min(epoch / epochs, 1)) ** self.power)

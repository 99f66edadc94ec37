"""A factor at each milestone."""

from __future__ import annotations

from dataclasses import dataclass

from spdbuild.errors import ArgumentError
from spdbuild.ranges import require_range
from spdbuild.training.schedules.schedule import SCHEDULES, Schedule


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

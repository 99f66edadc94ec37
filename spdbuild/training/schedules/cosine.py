"""Half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spdbuild.ranges import require_range
from spdbuild.training.schedules.schedule import SCHEDULES, Schedule


@SCHEDULES.register
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 down to `final` at the end of the last epoch.

    final: factor of the learning rate at the end.

    Source: Loshchilov and Hutter 2016, "SGDR", arXiv:1608.03983, equation 5, without restarts.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "final", least=0)

    def factor(self, epoch: float, epochs: int) -> float:
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * min(epoch / epochs, 1))) / 2

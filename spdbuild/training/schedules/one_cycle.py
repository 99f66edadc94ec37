"""Up and down once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spdbuild.ranges import require_range
from spdbuild.training.schedules.schedule import SCHEDULES, Schedule


@SCHEDULES.register
@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine up to the optimizer's learning rate and half a cosine down.

    peak: share of the run after which the learning rate is the optimizer's.
    initial: factor of the learning rate at the start.
    final: factor of the learning rate at the end.

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

"""How long calls take, measured so that other load on the machine affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

#: Calls before any is timed: caches fill, and libraries choose their algorithms.
WARM_UP = 3


@dataclass(frozen=True)
class Times:
    """Seconds of every timed call, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)

    @property
    def p90(self) -> float:
        return self.percentile(90)

    def percentile(self, share: int) -> float:
        """The least time within which `share` percent of the calls ended."""
        return sorted(self.seconds)[ceil(share * len(self.seconds) / 100) - 1]


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def take_turns(calls: Sequence[Callable[[], object]], rounds: int = 5, seconds: float = 0.0) -> list[Times]:
    """The times of each call; the calls take turns, so that a machine that slows down does so for all of them.

    rounds, seconds: the minimum number of turns of each call, and the minimum time for which turns go on.
    A call must return when its work is done: one that starts work on a GPU waits for it.
    """
    for call in calls:
        for _ in range(WARM_UP):
            call()
    times: list[list[float]] = [[] for _ in calls]
    begin = time.perf_counter()
    while len(times[0]) < rounds or time.perf_counter() - begin < seconds:
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [Times(tuple(taken)) for taken in times]

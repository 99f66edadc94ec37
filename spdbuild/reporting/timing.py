"""How fast a trained network was when it was evaluated, and on which machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any


@dataclass(frozen=True)
class Timing:
    """The speed of an evaluation, as `spdbuild eval` measures it.

    latency_ms: milliseconds of a call with one image, by percentile. images_per_second: with batches of `batch`.
    machine: the device, the processor or GPU, threads, and torch.
    """

    batch: int
    images_per_second: float
    latency_ms: dict[str, float]
    machine: str

    def to_dict(self) -> dict[str, Any]:
        times = {"latency_ms": self.latency_ms, "images_per_second": self.images_per_second}
        return {**times, "batch": self.batch, "machine": self.machine}


def mean_timings(timings: Iterable[Timing]) -> list[Timing]:
    """The means of timings of one machine and size of batches; those of others are not averaged."""
    alike = dict[tuple[str, int], list[Timing]]()
    for timing in timings:
        alike.setdefault((timing.machine, timing.batch), []).append(timing)
    return [
        Timing(
            batch,
            fmean(one.images_per_second for one in several),
            {name: fmean(one.latency_ms[name] for one in several) for name in several[0].latency_ms},
            machine,
        )
        for (machine, batch), several in alike.items()
    ]

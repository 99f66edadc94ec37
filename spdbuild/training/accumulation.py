"""Gradient accumulation: which batches form an optimizer step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Accumulation:
    """The number of batches accumulated for one step; it may grow from 1 over the first batches of a run.

    It depends on the batch's number alone, so a resumed run continues unchanged. The last step of an epoch takes the
    batches that are left.

    full: batches per step before rounding, at least 1 after it. growing: batches of the run over which it grows.
    """

    full: float
    growing: int = 0

    def batches(self, number: int) -> int:
        """How many batches a step must have to end with batch `number` of the run, counted from 0."""
        share = min(number / self.growing, 1.0) if self.growing else 1.0
        return max(round(1 + (self.full - 1) * share), 1)

    def steps(self, batches: Iterable[T], first: int) -> Iterator[list[T]]:
        """The batches of each step. first: number of the first one of `batches` in the run."""
        group: list[T] = []
        for number, batch in enumerate(batches, first):
            group.append(batch)
            if len(group) >= self.batches(number):
                yield group
                group = []
        if group:
            yield group

    def starts(self, count: int, first: int) -> list[int]:
        """The batches at which the steps of an epoch of `count` batches begin, and the end of the epoch.

        first: number of the epoch's first batch in the run.
        """
        return list(accumulate(map(len, self.steps(range(count), first)), initial=0))

"""Axes: the values that they span, their tick marks, and the position of a value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from spdbuild.charts.chart import Scale

#: Numbers below it have too few digits to be divided further.
_TINY = 1e-300
#: Positive values are shown on a logarithmic axis if the largest is more than this many times the smallest...
_FAR_APART = 20
#: ...and the axis goes down to this fraction of the largest.
_DEPTH = 1e-6
#: The number of marks that a linear axis aims at.
_TICKS = 5


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with marks between."""

    low: float
    high: float
    marks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """The position of a value between the ends, 0 to 1; a value beyond them is clamped."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.logarithmic:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


def axis_for(values: Sequence[float], scale: Scale | Literal["epochs"]) -> Axis:
    """The axis that shows finite values best."""
    if scale == "share":
        return Axis(0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1))
    if scale == "epochs":
        return _epochs(values)
    if scale == "adaptive" and _far_apart(values):
        return _logarithmic(values)
    low, high = min(values, default=0.0), max(values, default=1.0)
    if 0 <= low <= high / 2 or low == high == 0:
        low, high = 0.0, high or 1.0
    marks = ticks(low, high)
    return Axis(marks[0], marks[-1], tuple(marks))


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about five of them."""
    largest = max(abs(low), abs(high))
    if high - low <= max(1e-9 * largest, _TINY):
        margin = 0.5 * (largest if largest > _TINY else 1.0)
        low, high = low - margin, high + margin
    raw = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _epochs(values: Sequence[float]) -> Axis:
    """Marks only at integers, including the last epoch; a single epoch is in the middle."""
    first, last = int(min(values, default=1)), int(max(values, default=1))
    if first == last:
        return Axis(first - 1, last + 1, (first,))
    step = next(step for step in _steps() if (last - first) / step <= 12)
    # A mark too close to the last one gives way to it.
    inner = [mark for mark in range(step * (first // step + 1), last, step) if last - mark >= 0.6 * step]
    return Axis(first, last, (first, *(mark for mark in inner if mark - first >= 0.6 * step), last))


def _steps() -> list[int]:
    return [factor * 10**power for power in range(9) for factor in (1, 2, 5)]


def _far_apart(values: Sequence[float]) -> bool:
    positive = [value for value in values if value > 0]
    return bool(positive) and min(values) >= 0 and max(positive) > _FAR_APART * min(positive)


def _logarithmic(values: Sequence[float]) -> Axis:
    """Marks at decades, subdivided if there are few; no value is negative and at least one is positive."""
    largest = max(values)
    smallest = max(min(value for value in values if value > 0), largest * _DEPTH)
    first, last = math.floor(math.log10(smallest)), math.ceil(math.log10(largest))
    factors = (1, 2, 5) if last - first <= 3 else (1,)
    marks = [float(f"{factor}e{power}") for power in range(first, last + 1) for factor in factors]
    low = max(mark for mark in marks if mark <= smallest * (1 + 1e-9))
    high = min(mark for mark in marks if mark >= largest * (1 - 1e-9))
    return Axis(low, high, tuple(mark for mark in marks if low <= mark <= high), logarithmic=True)

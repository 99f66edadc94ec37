"""How far a mean can be trusted: standard deviations and Student's intervals.

The quantiles come from the finite series of the t distribution for whole degrees of freedom: Abramowitz and Stegun,
Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev

#: Share of such intervals that contain the true mean, if the values are drawn from a normal distribution.
CONFIDENCE = 0.95
#: Values that are equal except for rounding say nothing about their spread.
_ROUNDING = 1e-12


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation, with n - 1; None for one value."""
    return stdev(values) if len(values) > 1 else None


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's interval of the mean; None for one value, and for values without any spread."""
    spread = deviation(values)
    if spread is None or spread <= _ROUNDING:
        return None
    half = t_quantile(len(values) - 1) * spread / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


@cache
def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t for which the share `confidence` of Student's distribution lies between -t and t."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        high *= 2
    # More often than double precision can resolve.
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The probability that a value lies between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * math.cos(angle) ** 2
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total

"""How far a mean can be trusted: deviations and Student's intervals.

The quantiles come from the finite series of the t distribution for whole degrees of freedom: Abramowitz and Stegun,
Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean, stdev

#: Share of such intervals that hold the true mean, if what is averaged is drawn from a normal distribution.
CONFIDENCE = 0.95
#: Differences that are equal but for rounding tell nothing of how they spread.
_ROUNDING = 1e-12


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation, with n - 1; None of one value."""
    return stdev(values) if len(values) > 1 else None


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's interval of the mean; None of one value, and of values without any spread."""
    spread = deviation(values)
    if spread is None or spread <= _ROUNDING:
        return None
    half = t_quantile(len(values) - 1) * spread / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


@cache
def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t below whose absolute value lies the share `confidence` of Student's distribution."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < confidence:
        high *= 2
    # Halved as often as a number of double precision can tell.
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

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


def interval(values: Sequence[float], overlap: float = 0.0) -> tuple[float, float] | None:
    """Student's interval of the mean; None for one value, and for values without any spread.

    overlap: of values over folds, whose training sets overlap: the size of a fold over that of its training set.
    """
    error = standard_error(values, overlap)
    if error is None:
        return None
    half = t_quantile(len(values) - 1) * error
    return fmean(values) - half, fmean(values) + half


def p_value(values: Sequence[float], overlap: float = 0.0) -> float | None:
    """How likely a mean so far from 0, or farther, is where the true one is 0; None where there is no interval."""
    error = standard_error(values, overlap)
    return None if error is None else max(0.0, 1 - _within(abs(fmean(values)) / error, len(values) - 1))


def standard_error(values: Sequence[float], overlap: float = 0.0) -> float | None:
    """The standard deviation of the mean of n values: theirs times sqrt(1 / n + overlap); None without any spread.

    Source of the overlap: Nadeau and Bengio 2003, "Inference for the Generalization Error", Machine Learning 52, the
    corrected resampled t-test: runs that have most of their training images in common vary less than independent ones.
    """
    spread = deviation(values)
    if spread is None or spread <= _ROUNDING:
        return None
    return spread * math.sqrt(1 / len(values) + overlap)


@cache
def t_quantile(freedom: int) -> float:
    """The t for which the share CONFIDENCE of Student's distribution lies between -t and t."""
    low, high = 0.0, 1.0
    while _within(high, freedom) < CONFIDENCE:
        high *= 2
    # More often than double precision can resolve.
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < CONFIDENCE else (low, middle)
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

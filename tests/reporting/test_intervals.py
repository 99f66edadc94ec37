"""Student's intervals, against printed tables and numpy."""

from __future__ import annotations

import numpy as np
import pytest

from spdbuild.reporting.intervals import deviation, interval, t_quantile

#: Two-sided 95 % points of the t distribution, as printed in textbooks.
TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 8: 2.306, 9: 2.262, 30: 2.042, 100: 1.984}


@pytest.mark.parametrize("freedom", TABLE)
def test_the_quantiles_are_those_of_the_tables(freedom: int) -> None:
    assert t_quantile(freedom) == pytest.approx(TABLE[freedom], abs=5e-4)


def test_an_interval_by_numpy() -> None:
    values = [0.9, 0.94, 0.91, 0.97]
    half = TABLE[3] * np.std(values, ddof=1) / np.sqrt(4)
    assert interval(values) == pytest.approx((np.mean(values) - half, np.mean(values) + half), abs=1e-5)
    assert deviation(values) == pytest.approx(np.std(values, ddof=1))


def test_one_value_has_no_deviation_and_no_interval() -> None:
    assert deviation([0.5]) is None
    assert interval([0.5]) is None


@pytest.mark.parametrize("values", [[0.1, 0.1], [0.9 - 0.8, 0.8 - 0.7]], ids=["equal", "equal but for rounding"])
def test_values_without_spread_have_no_interval(values: list[float]) -> None:
    assert interval(values) is None

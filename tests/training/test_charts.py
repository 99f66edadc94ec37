"""Pictures of numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spdbuild.training.charts import draw_curves, draw_matrix, ticks

NUMBERS = st.floats(-1e12, 1e12)


@given(NUMBERS, NUMBERS)
def test_ticks_enclose_the_values_and_grow(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    marks = ticks(low, high)
    assert marks == sorted(set(marks))
    assert 2 <= len(marks) <= 12
    slack = 1e-9 * max(abs(low), abs(high))
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (3, 28, [0, 5, 10, 15, 20, 25, 30])]
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == expected


def test_a_rising_curve_rises_from_left_to_right() -> None:
    picture = draw_curves("accuracy", [1, 2, 3], {"test": [0.0, 0.5, 1.0]})
    drawn = [(x, y) for x in range(80, 610) for y in range(40, 355) if picture.getpixel((x, y)) == (0x1F, 0x77, 0xB4)]
    left, right = min(drawn), max(drawn)
    assert left[1] > right[1] + 200


def test_missing_and_infinite_values_are_left_out() -> None:
    draw_curves("loss", [1, 2, 3], {"test": [None, math.inf, math.nan], "train": [1.0, None, 2.0]})


def test_a_matrix_is_darkest_where_the_counts_are() -> None:
    picture = draw_matrix("confusion", [[9, 1], [0, 10]], ["cat", "dog"]).convert("L")
    left = 70 + 3 * 6
    shades = [[picture.getpixel((left + 48 * j + 2, 34 + 48 * i + 2)) for j in (0, 1)] for i in (0, 1)]
    assert shades[1][1] < shades[0][0] < shades[0][1] < shades[1][0] == 255

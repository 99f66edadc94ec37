"""Marks and ends of axes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spdbuild.charts.axes import axis_for, ticks

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


@pytest.mark.parametrize(
    ("epochs", "marks"),
    [
        (3, (1, 2, 3)),
        (12, (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
        (50, (1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50)),
        (47, (1, 5, 10, 15, 20, 25, 30, 35, 40, 47)),
        (300, (1, 50, 100, 150, 200, 250, 300)),
    ],
)
def test_epochs_are_whole_and_end_at_the_last(epochs: int, marks: tuple[int, ...]) -> None:
    axis = axis_for(range(1, epochs + 1), "epochs")
    assert axis.marks == marks
    assert (axis.low, axis.high) == (1, epochs)


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_marks_of_epochs_are_few_and_apart(first: int, more: int) -> None:
    marks = axis_for([first, first + more], "epochs").marks
    assert len(marks) <= 14
    assert marks[-1] == first + more
    assert all(left < right for left, right in zip(marks, marks[1:], strict=False))


def test_a_single_epoch_stands_in_the_middle() -> None:
    axis = axis_for([7], "epochs")
    assert axis.marks == (7,)
    assert axis.share(7) == 0.5


def test_shares_always_run_from_0_to_1() -> None:
    axis = axis_for([0.1, 0.12], "share")
    assert (axis.low, axis.high) == (0, 1)


def test_losses_far_apart_have_a_logarithmic_axis() -> None:
    axis = axis_for([34, 2, 1, 0.6], "adaptive")
    assert axis.logarithmic
    assert (axis.low, axis.high) == (0.5, 50)
    assert axis.share(5) == pytest.approx(0.5)
    assert not axis_for([34, 20, 4], "adaptive").logarithmic


def test_a_loss_that_reaches_0_stands_at_the_foot_of_the_logarithmic_axis() -> None:
    axis = axis_for([100, 1, 0, 1e-30], "adaptive")
    assert axis.logarithmic
    assert axis.low == pytest.approx(1e-4)
    assert axis.share(0) == axis.share(1e-30) == 0


def test_zeros_alone_lie_on_the_lower_axis() -> None:
    for scale in ("linear", "adaptive"):
        axis = axis_for([0, 0], scale)  # type: ignore[arg-type]
        assert (axis.low, axis.high) == (0, 1)


def test_small_differences_of_large_values_fill_the_axis() -> None:
    axis = axis_for([1000, 1001], "linear")
    assert axis.low >= 999
    assert axis.high <= 1002


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=5), st.sampled_from(("linear", "adaptive")))
def test_every_value_has_its_place_in_the_order_of_the_values(values: list[float], scale: str) -> None:
    axis = axis_for(values, scale)  # type: ignore[arg-type]
    shares = [axis.share(value) for value in sorted(values)]
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1 + 1e-9
    assert all(math.isfinite(mark) for mark in axis.marks)

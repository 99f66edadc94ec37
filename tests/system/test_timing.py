"""Calls that take turns."""

from __future__ import annotations

import time

import pytest

from spdbuild.system.timing import WARM_UP, Times, take_turns


def test_calls_take_turns_behind_the_warm_up() -> None:
    order: list[str] = []
    first, second = take_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=4)
    assert order == ["a"] * WARM_UP + ["b"] * WARM_UP + ["a", "b"] * 4
    assert len(first.seconds) == len(second.seconds) == 4


def test_there_are_turns_until_the_seconds_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    (times,) = take_turns([lambda: None], rounds=1, seconds=30.0)
    # A turn reads the clock three times: to see whether there is time left, before and behind the call.
    assert times.seconds == (1,) * 10


def test_medians_and_quantiles() -> None:
    times = Times((3.0, 1.0, 2.0, 10.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0))
    assert (times.least, times.median, times.p90) == (1.0, 5.5, 9.0)
    assert Times((2.0,)).p90 == 2.0
    assert [Times(tuple(range(1, 11))).percentile(share) for share in (50, 90, 91, 99)] == [5, 9, 10, 10]

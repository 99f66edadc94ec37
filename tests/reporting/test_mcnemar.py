"""McNemar's exact test, beside binomials that were counted by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from spdbuild.reporting.mcnemar import McNemar


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1),
        (1, 0, 1),
        (4, 0, 2 * 1 / 16),
        (0, 6, 2 * 1 / 64),
        # 1 + 8 + 28 of 256, on both sides.
        (6, 2, 2 * 37 / 256),
        (3, 3, 1),
        (4, 3, 1),
    ],
)
def test_it_is_the_share_of_divisions_that_are_no_less_uneven(gained: int, lost: int, p: float) -> None:
    assert McNemar(gained, lost).p == pytest.approx(p, rel=1e-14)


MANY = [(6, 12), (40, 61), (1000, 1100), (999, 1100), (1000, 1002), (3, 2000), (3000, 1000), (20_000, 21_000)]


@pytest.mark.parametrize(("gained", "lost"), [*MANY, (199_000, 201_000), (210_000, 190_000), (5_000_000, 5_010_000)])
def test_it_is_that_of_scipy_for_many_images(gained: int, lost: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    expected = stats.binomtest(gained, gained + lost).pvalue
    # The logarithm of a factorial is the less accurate, the larger it is.
    assert McNemar(gained, lost).p == pytest.approx(expected, rel=1e-9 if gained < 10**6 else 1e-7, abs=1e-300)


@pytest.mark.parametrize(("gained", "lost"), [pair for pair in MANY if sum(pair) < 5000])
def test_it_is_a_sum_of_binomials_for_many_images(gained: int, lost: int) -> None:
    count = gained + lost
    total = sum(math.comb(count, k) for k in range(min(gained, lost) + 1))
    assert McNemar(gained, lost).p == pytest.approx(float(Fraction(2 * total, 2**count)), rel=1e-11, abs=1e-300)


def test_equal_divisions_need_no_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("spdbuild.reporting.mcnemar._share")
    assert McNemar(200_000, 200_000).p == McNemar(200_001, 200_000).p == 1


def test_millions_of_images_are_as_in_a_normal_distribution() -> None:
    assert McNemar(10_000_000, 10_001_000).p == pytest.approx(math.erfc(1000 / math.sqrt(2 * 20_001_000)), rel=1e-3)

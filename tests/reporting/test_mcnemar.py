"""McNemar's exact test, beside binomials that were counted by hand."""

from __future__ import annotations

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
    assert McNemar(gained, lost).p == p


def test_it_is_that_of_scipy_for_many_images() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    for gained, lost in ((40, 61), (1000, 1100), (3, 2000)):
        expected = stats.binomtest(gained, gained + lost).pvalue
        assert McNemar(gained, lost).p == pytest.approx(expected, rel=1e-9, abs=1e-300)

"""Which numbers are refused, and in which words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest

from spdbuild.declaring.ranges import require_growing, require_range
from spdbuild.errors import ArgumentError


@dataclass(frozen=True)
class Owner:
    share: float | None = 0.5
    pair: tuple[float, float] = (1.0, 2.0)


@dataclass(frozen=True)
class NestedOwner:
    sides: tuple[tuple[float, float] | None, ...]


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (-1, {"least": 0}, "share must be at least 0, got -1"),
        (0, {"above": 0}, "share must be more than 0, got 0"),
        (2, {"least": 0, "most": 1}, "share must be between 0 and 1, got 2"),
        (1.0, {"least": 0, "below": 1}, "share must be at least 0 and less than 1, got 1.0"),
        (5, {"least": 1, "most": 4}, "share must be between 1 and 4, got 5"),
        (0, {"least": 1, "most": 10**6}, "share must be between 1 and 1000000, got 0"),
        (2, {"most": 0.5}, "share must be at most 0.5, got 2"),
        (2**63, {"below": 2**63}, f"share must be less than 2**63, got {2**63}"),
        # A float cannot hold it.
        (10**400, {"below": 1}, f"share must be less than 1, got {10**400}"),
        (math.nan, {}, "share must be a finite number, got nan"),
        (math.inf, {"least": 0}, "share must be a finite number, got inf"),
    ],
)
def test_a_number_out_of_range_is_refused(value: float, bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        require_range(Owner(share=value), "share", **bounds)
    assert caught.value.problems[0].message == message
    assert caught.value.argument == "share"


@pytest.mark.parametrize(
    ("value", "bounds"), [(0, {"least": 0}), (1, {"most": 1}), (None, {"above": 0}), (0.5, {"above": 0, "below": 1})]
)
def test_a_number_in_range_passes(value: float | None, bounds: dict[str, Any]) -> None:
    require_range(Owner(share=value), "share", **bounds)


def test_each_number_of_a_pair_is_looked_at() -> None:
    with pytest.raises(ArgumentError, match="pair must be more than 0, got -3"):
        require_range(Owner(pair=(1, -3)), "pair", above=0)


def test_each_number_of_nested_pairs_is_looked_at() -> None:
    sides = NestedOwner(((0, 1), (2, -3)))
    require_range(sides, "sides", least=-3, most=2)
    with pytest.raises(ArgumentError, match="sides must be at least 0, got -3"):
        require_range(sides, "sides", least=0)
    with pytest.raises(ArgumentError, match="sides must be a finite number, got nan"):
        require_range(NestedOwner(((0, math.nan), None)), "sides")


def test_a_pair_that_falls_is_refused() -> None:
    require_growing(Owner(pair=(2, 2)), "pair")
    with pytest.raises(ArgumentError, match="pair must not fall, got 2 to 1"):
        require_growing(Owner(pair=(2, 1)), "pair")

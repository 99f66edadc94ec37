"""What a budget says, and what it allows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from spdbuild.conversion.budget import Budget, Spending, amount, impossible, parse_budget
from spdbuild.errors import InputError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("macs=1.0x", Budget("macs", Decimal("1.0"), relative=True)),
        ("macs=8.2G", Budget("macs", Decimal("8.2e9"))),
        ("params=7000", Budget("params", Decimal("7000.0"))),
        ("params=.9x", Budget("params", Decimal("0.9"), relative=True)),
        ("latency=20ms", Budget("latency", Decimal("0.02"))),
        ("latency=1.2x", Budget("latency", Decimal("1.2"), relative=True)),
        (" latency=2s ", Budget("latency", Decimal("2.0"))),
    ],
)
def test_a_budget_is_a_quantity_and_a_limit(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["macs", "macs=", "macs=x", "macs=-1x", "macs=1e9", "macs=1ms", "latency=20", "flops=1x", "macs=1 x", "=1x"]
)
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"a budget is a quantity and its limit, got '{text}'"):
        parse_budget(text)


def test_a_limit_of_a_factor_allows_exactly_so_many_times_the_cost() -> None:
    assert 1.1 * 110 > 121
    assert Spending(parse_budget("params=1.1x"), strided=110, converted=121).fits
    assert not Spending(parse_budget("params=1.1x"), strided=110, converted=122).fits


def test_what_costs_nothing_strided_has_no_ratio() -> None:
    error = impossible([Spending(parse_budget("macs=1.0x"), strided=0, converted=576)])
    told = "no conversion stays within the budget: at most 0 MACs, the least is 576 MACs"
    assert error.problems[0].message == told


def test_amounts_have_their_unit() -> None:
    assert amount("macs", 2_234_060_800) == "2,234,060,800 MACs"
    assert amount("params", 1_872_157.0) == "1,872,157 parameters"
    assert amount("latency", 0.0201) == "20.1 ms"

"""The most worth within limits, against trying everything."""

from __future__ import annotations

from itertools import product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from spdbuild.conversion.selection import REMEMBERED, Option, least_costs, select

LAYERS = st.lists(
    st.lists(
        st.builds(
            Option,
            st.integers(),
            st.tuples(st.integers(-1, 0), st.integers(0, 9)),
            st.tuples(*[st.integers(-5, 9)] * 2),
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=4,
)


def totals(options: tuple[Option[int], ...]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    worth = tuple(map(sum, zip(*(option.worth for option in options), strict=True)))
    return worth, tuple(map(sum, zip(*(option.costs for option in options), strict=True)))


@given(LAYERS, st.integers(-9, 30), st.integers(-9, 30))
def test_the_selection_is_the_best_that_fits(layers: list[list[Option[int]]], first: int, second: int) -> None:
    found = select(layers, (first, second))
    every = [totals(options) for options in product(*layers)]
    fitting = [(worth, costs) for worth, costs in every if costs[0] <= first and costs[1] <= second]
    assert (found is not None) == bool(fitting)
    if found is not None:
        worth, costs = totals(found)
        assert all(option in layer for option, layer in zip(found, layers, strict=True))
        assert (worth, costs) in fitting
        assert worth == max(fitting)[0]
        assert costs == min(c for w, c in fitting if w == worth)


@given(LAYERS)
def test_the_least_costs_are_those_of_each_axis_alone(layers: list[list[Option[int]]]) -> None:
    every = [totals(options)[1] for options in product(*layers)]
    assert least_costs(layers, 2) == (min(c[0] for c in every), min(c[1] for c in every))


def test_of_many_selections_a_part_is_remembered_and_the_limit_is_met() -> None:
    # Powers of two and their mirror: no selection beats another, so all 2^12 would be remembered.
    layers = [[Option(0, (2**n,), (2**n, 0)), Option(1, (2**n,), (0, 2**n))] for n in range(12)]
    found = select(layers, (2**12 // 2, 2**12 // 2))
    assert found is not None
    assert REMEMBERED < 2**12
    assert max(totals(found)[1]) <= 2**12 // 2


def test_without_layers_only_what_is_within_the_limits_is_selected() -> None:
    assert select([], (1.0, 0.0)) == ()
    assert select([], (1.0, -1.0)) is None


def test_where_few_costs_are_possible_the_best_of_many_layers_is_found() -> None:
    # 3^30 selections, of which no more than the 91 different costs are unbeaten; the best by the usual recurrence.
    random = Random(0)
    layers = [[Option(0, (random.randrange(50),), (cost,)) for cost in range(3)] for _ in range(30)]
    best = {0: 0}
    for options in layers:
        sums = [(cost + option.costs[0], worth + option.worth[0]) for cost, worth in best.items() for option in options]
        best = {cost: max(worth for other, worth in sums if other == cost) for cost, _ in sums}
    for limit in (5, 20, 40):
        found = select(layers, (limit,))
        assert found is not None
        assert totals(found)[0] == (max(worth for cost, worth in best.items() if cost <= limit),)

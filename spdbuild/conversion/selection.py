"""One option for each layer, with the most worth within limits: a knapsack, by dynamic programming.

After each layer only the selections that no other beats are remembered: a selection is beaten by one of at least its
worth that costs no more of anything. If more than REMEMBERED are left, as may happen with two limits or many different
layers, only an even sample of them is remembered, and the answer is near the best rather than the best.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add, le
from typing import Generic, TypeVar

T = TypeVar("T")

#: Most selections that are remembered after each layer.
REMEMBERED = 300


@dataclass(frozen=True)
class Option(Generic[T]):
    """One possible choice for a layer.

    worth: compared from left to right, summed over layers. costs: one number per limit, summed too; may be negative.
    """

    item: T
    worth: tuple[int, ...]
    costs: tuple[float, ...]


@dataclass(frozen=True)
class _Selection(Generic[T]):
    worth: tuple[int, ...]
    costs: tuple[float, ...]
    options: tuple[Option[T], ...] = ()

    def with_option(self, option: Option[T]) -> _Selection[T]:
        worth, costs = map(add, self.worth, option.worth), map(add, self.costs, option.costs)
        return _Selection(tuple(worth), tuple(costs), (*self.options, option))


def select(layers: Sequence[Sequence[Option[T]]], limits: tuple[float, ...]) -> tuple[Option[T], ...] | None:
    """The options of most worth, one per layer, whose costs stay within the limits; of equal worth, the cheapest.

    None if no selection that is remembered fits.
    """
    if not layers:
        return () if all(limit >= 0 for limit in limits) else None
    selections = [_Selection[T]((0,) * len(layers[0][0].worth), (0.0,) * len(limits))]
    for number, options in enumerate(layers, 1):
        rest = least_costs(layers[number:], len(limits))
        grown = (selection.with_option(option) for selection in selections for option in options)
        fitting = (s for s in grown if all(map(le, map(add, s.costs, rest), limits)))
        selections = _unbeaten(fitting)
    return selections[0].options if selections else None


def least_costs(layers: Iterable[Sequence[Option[T]]], limits: int) -> tuple[float, ...]:
    """The least that the layers can cost, for each limit on its own."""
    totals = [0.0] * limits
    for options in layers:
        totals = [total + min(o.costs[axis] for o in options) for axis, total in enumerate(totals)]
    return tuple(totals)


def _unbeaten(selections: Iterable[_Selection[T]]) -> list[_Selection[T]]:
    """Those that no other beats, the most worth first."""
    kept: list[_Selection[T]] = []
    for selection in sorted(selections, key=lambda s: (tuple(-part for part in s.worth), s.costs)):
        if not any(all(map(le, other.costs, selection.costs)) for other in reversed(kept)):
            kept.append(selection)
    if len(kept) <= REMEMBERED:
        return kept
    last = len(kept) - 1
    return [kept[last * place // (REMEMBERED - 1)] for place in range(REMEMBERED)]

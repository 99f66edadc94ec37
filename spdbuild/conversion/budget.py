"""What a network may cost, and what it does cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import ceil
from typing import Any, Literal, cast

from spdbuild.errors import InputError
from spdbuild.graph import Graph, Node

Quantity = Literal["macs", "params", "latency"]
#: What a node costs: multiply-accumulates, parameters or seconds.
Meter = Callable[[Node], float]

_PREFIXES = {"x": "1", "": "1", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12"}
_UNITS = {"macs": _PREFIXES, "params": _PREFIXES, "latency": {"x": "1", "ms": "1e-3", "s": "1"}}
_BUDGET = re.compile(r"(\w+)=(\d+(?:\.\d*)?|\.\d+)([a-zA-Z]*)")


@dataclass(frozen=True)
class Budget:
    """The most that a network may cost: MACs, parameters or seconds for one sample, or a multiple of its strided cost.

    The number is exactly the one that was written, so that 1.1 times 10 parameters are 11.
    """

    quantity: Quantity
    number: Decimal
    relative: bool = False

    def limit(self, strided: float) -> float:
        """The limit in MACs, parameters or seconds, for a network that costs `strided` before it is converted."""
        return float(self.number * Decimal(strided) if self.relative else self.number)


def parse_budget(text: str) -> Budget:
    """`macs=1.0x`, `macs=8.2G`, `params=7M`, `latency=1.2x` or `latency=20ms`; InputError for anything else."""
    match = _BUDGET.fullmatch(text.strip())
    if match is None or match[3] not in _UNITS.get(match[1], ()):
        raise InputError(
            f"a budget is a quantity and its limit, got '{text}'",
            hint="for example macs=1.0x, macs=8.2G, params=7M, latency=1.2x or latency=20ms",
        )
    quantity, number, unit = match.groups()
    return Budget(cast(Quantity, quantity), Decimal(number) * Decimal(_UNITS[quantity][unit]), relative=unit == "x")


@dataclass(frozen=True)
class Spending:
    """What a budget allows, and what the network costs strided and converted: MACs, parameters or seconds.

    estimate: for seconds, the sum of the timed layers.
    """

    budget: Budget
    strided: float
    converted: float
    estimate: float | None = None

    @property
    def limit(self) -> float:
        return self.budget.limit(self.strided)

    @property
    def fits(self) -> bool:
        return self.converted <= self.limit

    def to_dict(self) -> dict[str, Any]:
        """The entry of the document that `spdbuild convert --budget --json` prints."""
        numbers = {"limit": self.limit, "strided": self.strided, "converted": self.converted, "estimate": self.estimate}
        given = {name: number for name, number in numbers.items() if number is not None}
        return {"quantity": self.budget.quantity, **given, "fits": self.fits}


def costs(graph: Graph, budgets: Sequence[Budget]) -> list[float]:
    """What a network costs in the quantity of each budget."""
    return [_costs([graph], budget.quantity)[0] for budget in budgets]


def spend(budget: Budget, strided: Graph, converted: Graph, estimate: float | None = None) -> Spending:
    """What two networks cost in the quantity of a budget; they are timed in turns."""
    before, after = _costs([strided, converted], budget.quantity)
    return Spending(budget, before, after, estimate)


def _costs(graphs: Sequence[Graph], quantity: Quantity) -> list[float]:
    if quantity == "latency":
        from spdbuild.conversion.latency import network_seconds

        return network_seconds(graphs)
    meter = meter_of(quantity)
    return [sum(map(meter, graph)) for graph in graphs]


def meter_of(quantity: Quantity) -> Meter:
    """How a quantity is measured, layer by layer."""
    if quantity == "macs":
        return lambda node: node.macs
    if quantity == "params":
        return lambda node: node.parameters
    from spdbuild.conversion.latency import LayerTimer

    return LayerTimer()


def impossible(least: Sequence[Spending]) -> InputError:
    """The error for budgets that no conversion stays within. least: the least possible spending of each on its own."""
    over = [spending for spending in least if not spending.fits]
    told = "; ".join(f"at most {amount(s.budget.quantity, s.limit)}, the least is {_least(s)}" for s in over or least)
    together = "" if over else " of all limits together"
    return InputError(
        f"no conversion stays within the budget{together}: {told}",
        hint="allow more, let a var for the width shrink, or let layers stay strided",
    )


def amount(quantity: Quantity, number: float) -> str:
    """`2,234,060,800 MACs`, `1,872,157 parameters` or `20.1 ms`."""
    if quantity == "latency":
        return f"{1000 * number:.1f} ms"
    return f"{int(number):,} {'MACs' if quantity == 'macs' else 'parameters'}"


def _least(spending: Spending) -> str:
    """The amount and its ratio, rounded up so that a budget of that ratio can be met; a cost of 0 has no ratio."""
    if not spending.strided:
        return amount(spending.budget.quantity, spending.converted)
    ratio = ceil(1000 * spending.converted / spending.strided) / 1000
    return f"{amount(spending.budget.quantity, spending.converted)} ({ratio:.3f}x)"

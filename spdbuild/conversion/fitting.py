"""Conversions within a budget, by the choice of the kernel and placement of each layer, or of the width.

Of the conversions within the budget, the one that holds most taps is chosen: the share of the pixels read by a strided
layer that its replacement reads too, each layer with equal weight; among these the one with the largest windows, and
then the cheapest. `spdbuild.conversion.choices` says what a layer may become, `spdbuild.conversion.selection` how well
the best is found. With a width to change, every layer keeps the kernel that the options ask for, and the greatest width
that fits is chosen.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from spdbuild.conversion.budget import Budget, Spending, costs, impossible, meter_of, parse_budget, spend
from spdbuild.conversion.choices import choices, combined
from spdbuild.conversion.convert import spd_pass
from spdbuild.conversion.narrowing import narrowed
from spdbuild.conversion.options import SpdOptions
from spdbuild.conversion.selection import least_costs, select
from spdbuild.errors import ArgumentError, InputError
from spdbuild.graph import Graph
from spdbuild.loading import Architecture, loaded
from spdbuild.passes import run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd


@dataclass(frozen=True)
class Fit:
    """A conversion that fits: the network to convert, narrower if that was allowed, the options, and the costs."""

    architecture: Architecture
    step: StridedToSpd
    spendings: tuple[Spending, ...]
    width: str = ""

    def __repr__(self) -> str:
        return f"Fit({self.architecture.name}: {self.options or 'the options as they are'})"

    @property
    def options(self) -> str:
        """The choice as options of `spdbuild convert` that reproduce it."""
        return shlex.join(self._words())

    def to_dict(self) -> dict[str, Any]:
        """What `spdbuild convert --json` adds to its document when there is a budget."""
        return {"budget": [spending.to_dict() for spending in self.spendings], "choice": self.options}

    def _words(self) -> Iterator[str]:
        if self.width:
            yield from ("--var", f"{self.width}={self.architecture.vars[self.width]}")
        for field in dataclasses.fields(self.step):
            value = getattr(self.step, field.name)
            if value == field.default:
                continue
            flag = f"--{field.name.replace('_', '-')}"
            if isinstance(value, bool):
                yield flag
            else:
                yield from (flag, ",".join(value) if isinstance(value, tuple) else str(value))


def fit_budget(
    architecture: Architecture | str | Path,
    budgets: str | Sequence[str],
    preset: str | None = None,
    *,
    may_keep: bool = False,
    width: str = "",
    **options: Unpack[SpdOptions],
) -> Fit:
    """The arguments of `convert` with which the converted network stays within all of the budgets.

    architecture: an architecture, or its built-in name, a path, or YAML text.
    budgets: one or several, such as "macs=1.0x", "params=7M" or "latency=20ms"; "x" is relative to the network before
        it is converted.
        Seconds are measured on this machine, for one sample on the CPU: while choosing, for each layer alone; in the
        result, for the networks.
    options: those of the pass `strided_to_spd`, which override the preset's; `kernel` and `kernels` are upper limits.
    may_keep: whether layers may stay strided where nothing else fits.
    width: a var that shrinks in place of the kernels, such as YOLOv5's width_multiple.

    Raises InputError, with the least that is possible, where nothing fits.
    """
    if isinstance(budgets, str):
        budgets = [budgets]
    if not isinstance(budgets, Sequence) or not all(isinstance(text, str) for text in budgets):
        raise ArgumentError(f"budgets must be texts, got {budgets}", argument="budgets", hint="for example 'macs=1.0x'")
    if not budgets:
        raise InputError("there is no budget to stay within", hint="for example macs=1.0x")
    step, parsed = spd_pass(preset, options), list(map(parse_budget, budgets))
    architecture = loaded(architecture)
    original = architecture.graph
    if width:
        architecture = narrowed(architecture, step, width, parsed)
        estimates: list[float | None] = [None] * len(parsed)
    else:
        step, estimates = _chosen(original, step, parsed, may_keep)
    converted, _ = run_passes(architecture.graph, [step])
    spendings = (spend(b, original, converted, estimate) for b, estimate in zip(parsed, estimates, strict=True))
    return Fit(architecture, step, tuple(spendings), width if width in architecture.vars else "")


def _chosen(
    graph: Graph, step: StridedToSpd, budgets: Sequence[Budget], may_keep: bool
) -> tuple[StridedToSpd, list[float | None]]:
    """The pass with the best choice for each layer, and the estimates of budgets in seconds."""
    layers = choices(graph, step, [meter_of(budget.quantity) for budget in budgets], may_keep=may_keep)
    strided = costs(graph, budgets)
    chosen = select(layers, tuple(b.limit(cost) - cost for b, cost in zip(budgets, strided, strict=True)))
    if chosen is None:
        numbers = zip(budgets, strided, least_costs(layers, len(budgets)), strict=True)
        raise impossible([Spending(budget, cost, cost + added) for budget, cost, added in numbers])
    numbers = zip(budgets, strided, least_costs([[option] for option in chosen], len(budgets)), strict=True)
    estimates = [cost + added if budget.quantity == "latency" else None for budget, cost, added in numbers]
    return combined(step, [option.item for option in chosen], graph), estimates

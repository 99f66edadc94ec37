"""The width at which a converted network stays within a budget."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from spdbuild.conversion.budget import Budget, Spending, costs, impossible
from spdbuild.errors import InputError, SpdbuildError, UnknownNameError, nearest
from spdbuild.loading import Architecture, choose
from spdbuild.passes import run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd

#: Step of a width that is not a whole number.
STEP = 0.01


def narrowed(architecture: Architecture, step: StridedToSpd, var: str, budgets: Sequence[Budget]) -> Architecture:
    """The architecture with the greatest value of `var`, up to its own, at which its conversion fits.

    The value is found by bisection, which relies on a wider network costing more; a whole number shrinks by 1.
    Raises InputError where not even the least width fits.
    """
    value = _value(architecture, var)
    strided = costs(architecture.graph, budgets)

    def at(steps: int) -> Architecture:
        width = steps if isinstance(value, int) else round(steps * STEP, 2)
        values = {**architecture.vars, var: width}
        return choose(architecture.document, architecture.variant, values, architecture.inputs)

    def spendings(network: Architecture) -> list[Spending]:
        converted, _ = run_passes(network.graph, [step])
        return [Spending(*numbers) for numbers in zip(budgets, strided, costs(converted, budgets), strict=True)]

    def fits(steps: int) -> bool:
        try:
            return all(spending.fits for spending in spendings(at(steps)))
        except SpdbuildError:  # A layer without channels: the network is too narrow to build, not too wide.
            return True

    if all(spending.fits for spending in spendings(architecture)):
        return architecture
    least, most = 1, value if isinstance(value, int) else ceil(value / STEP)
    if not fits(least):
        raise impossible(spendings(at(least)))
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if fits(middle) else (least, middle)
    return at(least)


def _value(architecture: Architecture, var: str) -> float:
    document = architecture.document
    known = {**document.vars, **document.variants.get(architecture.variant or "", {}), **architecture.vars}
    if var not in known:
        raise UnknownNameError(f"{architecture.name} has no var '{var}'", hint=nearest(var, known) or "it has none")
    value = known[var]
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise InputError(f"a width is a number above 0; the var '{var}' is {value!r}")
    return value

"""Options of a conversion that must stay within budgets."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.options import Function, repeated_option
from spdbuild.errors import InputError
from spdbuild.wording.quantities import ratio

if TYPE_CHECKING:
    from spdbuild.conversion.budget import Spending
    from spdbuild.conversion.fitting import Fit
    from spdbuild.loading import Architecture


@dataclass(frozen=True)
class BudgetOptions:
    """What a converted network may cost, and what may change to meet that.

    limits: the budgets as text, none if the options are used as given. may_keep: layers may stay strided. width: the
        var that may shrink.
    """

    limits: tuple[str, ...]
    may_keep: bool
    width: str | None

    def __post_init__(self) -> None:
        if not self.limits and (self.may_keep or self.width):
            raise InputError("--budget-keep and --width need --budget", hint="for example --budget macs=1.0x")
        if self.may_keep and self.width:
            raise InputError("--budget-keep and --width do not go together", hint="give one of them")

    def fit(self, architecture: Architecture, preset: str | None, options: Mapping[str, Any]) -> Fit:
        """The network and the options to convert it with: as they were given, or chosen to fit the budgets."""
        from spdbuild.conversion.convert import spd_pass
        from spdbuild.conversion.fitting import Fit, fit_budget

        if not self.limits:
            return Fit(architecture, spd_pass(preset, dict(options)), ())
        return fit_budget(architecture, self.limits, preset, may_keep=self.may_keep, width=self.width or "", **options)


def budget_options(function: Function) -> Function:
    """`--budget`, `--budget-keep` and `--width`; the function gets them as `budget`."""

    @repeated_option(
        "--budget",
        "limits",
        metavar="QUANTITY=LIMIT",
        help="Choose kernels and placements within a budget such as macs=1.0x, params=7M or latency=20ms; x means "
        "times the strided network.",
    )
    @click.option("--budget-keep", "may_keep", is_flag=True, help="Let layers stay strided if the budget requires it.")
    @click.option("--width", metavar="VAR", help="Keep the kernels and let this var shrink to meet the budget.")
    @functools.wraps(function)
    def wrapper(limits: tuple[str, ...], may_keep: bool, width: str | None, **rest: Any) -> Any:
        return function(budget=BudgetOptions(limits, may_keep, width), **rest)

    return wrapper


def budget_lines(fit: Fit) -> Iterator[str]:
    """What each budget allows and what is spent, and the choice as options."""
    for spending in fit.spendings:
        yield f"budget      {_spent(spending)}"
    if fit.spendings:
        yield f"chosen      {fit.options or 'the options as they are'}"


def _spent(spending: Spending) -> str:
    from spdbuild.conversion.budget import amount

    quantity = spending.budget.quantity
    limit, spent = amount(quantity, spending.limit), amount(quantity, spending.converted)
    over = "" if spending.fits else ", which is over it"
    timed = "" if spending.estimate is None else f" (by layer {amount(quantity, spending.estimate)})"
    return f"{spent}{timed} of at most {limit}{over}  {ratio(spending.strided, spending.converted)}"

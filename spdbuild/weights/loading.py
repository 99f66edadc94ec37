"""Load the weights of a file into a model, matching the names of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import SpdbuildError, WeightsError
from spdbuild.graph import Graph
from spdbuild.text.source import Value
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.files import open_weights
from spdbuild.weights.matching import describe_module, match, match_any, misfits
from spdbuild.weights.rename import compile_rules, stated_order
from spdbuild.weights.report import Report

if TYPE_CHECKING:
    from torch import Tensor, nn


def match_file(
    path: Path | str,
    target: Mapping[str, TensorInfo],
    tables: Mapping[str, Mapping[str, Value | str]],
    *,
    table: str | None = None,
    graph: Graph | None = None,
    whole: Mapping[str, TensorInfo] | None = None,
    partial: bool = False,
    key: str | None = None,
    prefix: str | None = None,
) -> tuple[dict[str, Tensor], Report]:
    """The state_dict of a model that needs `target`, from any file, and what became of each tensor.

    tables: rename tables as written, with their orders. key: that of `open_weights`. The other arguments are those of
        `match_any`.
    Raises WeightsError for a file that cannot be read or does not fit.
    """
    contents = open_weights(path, key)
    theirs = contents.load()
    try:
        state, report = match_tables(target, theirs, tables, table=table, graph=graph, whole=whole, prefix=prefix)
        report = replace(report, taken_from=contents.taken_from)
        if not report.fits:
            report = replace(report, other_keys=contents.other_keys())
        if not (partial or report.fits):
            raise WeightsError.gather(misfits(report, graph))
    except WeightsError as error:
        raise _about(path, error) from None
    return state, report


def match_tables(
    target: Mapping[str, TensorInfo],
    theirs: Mapping[str, Tensor],
    tables: Mapping[str, Mapping[str, Value | str]],
    *,
    table: str | None = None,
    graph: Graph | None = None,
    whole: Mapping[str, TensorInfo] | None = None,
    prefix: str | None = None,
) -> tuple[dict[str, Tensor], Report]:
    """`match_any` with rename tables as written, with their orders; it takes what fits."""
    rules = {name: compile_rules(lines) for name, lines in tables.items()}
    stated = {name: stated_order(lines) for name, lines in tables.items()}
    orders = {name: order for name, order in stated.items() if order}
    return match_any(
        target, theirs, rules, table=table, orders=orders, graph=graph, whole=whole, prefix=prefix, partial=True
    )


def load_into(module: nn.Module, weights: Path | str | Mapping[str, Tensor], *, partial: bool = False) -> Report:
    """Load weights with the names and shapes of `module`; WeightsError if they are not exactly these.

    weights: a file, or a state_dict. A module on the meta device gets the tensors themselves; it must then get all of
        its weights.
    partial: take what fits, and leave the rest of the module as it is.
    """
    given, taken_from = (weights, "") if isinstance(weights, Mapping) else _read(weights)
    try:
        state, report = match(describe_module(module), given, partial=partial)
    except WeightsError as error:
        raise _about("the state_dict" if given is weights else str(weights), error) from None
    on_meta = any(tensor.is_meta for tensor in module.state_dict().values())
    module.load_state_dict(state, strict=False, assign=on_meta)
    return replace(report, taken_from=taken_from)


def _read(path: Path | str) -> tuple[dict[str, Tensor], str]:
    contents = open_weights(path)
    return contents.load(), contents.taken_from


def _about(path: Path | str, error: WeightsError) -> SpdbuildError:
    """The error, prefixed with the name of the file."""
    known = any(problem.message.startswith(str(path)) for problem in error.problems)
    return error if known else WeightsError.gather(replace(p, message=f"{path}: {p.message}") for p in error.problems)

"""The weights of a file in the network of a recipe: all of them, or all but those that are left fresh."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import Problem, RecipeError, WeightsError
from spdbuild.patterns import cover, pick
from spdbuild.phrases import some
from spdbuild.training.network import BuiltNetwork
from spdbuild.training.recipe import FirstWeights
from spdbuild.weights import describe_module, match_file, misfits
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.report import Report

if TYPE_CHECKING:
    from torch import Tensor

#: What is another network, and not the same with another head: the share that does not fit, the patterns to name it.
_SHARE, _PATTERNS = 0.75, 4
_SHOWN = 8


def load_weights(network: BuiltNetwork, file: str | Path) -> None:
    """Give a network the weights of a file; WeightsError unless the two fit exactly."""
    state, report = _matched(network, file, describe_module(network.module))
    _refuse(file, _advised(list(misfits(report)), f"see what the file holds: spdbuild weights show {file}"))
    network.module.load_state_dict(state)


def start(network: BuiltNetwork, weights: FirstWeights, settled: Collection[str] = ()) -> str:
    """Give a network its first weights; what is from the file and what is not, as a line of the log.

    settled: names of tensors that keep their values, whatever the file has.
    """
    target = describe_module(network.module)
    with weights.about("fresh"):
        fresh = pick(target, weights.fresh, "weights.fresh", "weight")
        if len(fresh) == len(target):
            raise RecipeError("weights.fresh leaves nothing to load", hint="leave a pattern out")
    with weights.about("file"):
        wanted = {name: info for name, info in target.items() if name not in set(fresh)}
        state, report = _matched(network, weights.file, wanted)
        _refuse(weights.file, _unfitting(report, weights, target))
    own = {name: tensor for name, tensor in state.items() if name not in settled}
    network.module.load_state_dict(own, strict=False)
    said, kept = _described(report, weights, cover(fresh, target)), sorted(state.keys() - own.keys())
    return f"{said}; as the recipe says: {', '.join(kept)}" if kept else said


def _matched(
    network: BuiltNetwork, file: str | Path, wanted: Mapping[str, TensorInfo]
) -> tuple[dict[str, Tensor], Report]:
    """What of the file fits, by our names or those of a rename table; and what became of each tensor."""
    architecture = network.architecture
    return match_file(file, wanted, architecture.renames, graph=architecture.graph, partial=True)


def _refuse(file: str | Path, problems: Iterable[Problem]) -> None:
    named = tuple(replace(problem, message=f"{file}: {problem.message}") for problem in problems)
    if named:
        raise WeightsError.gather(named)


def _unfitting(report: Report, weights: FirstWeights, target: Collection[str]) -> list[Problem]:
    """What keeps a run from starting with these weights; the last says what to do."""
    if weights.fresh:
        report = replace(report, entries=tuple(entry for entry in report.entries if entry.status != "unused"))
    return _advised(list(misfits(report)), _hint(report, weights, target))


def _advised(problems: list[Problem], hint: str) -> list[Problem]:
    """The problems with one hint for all, in place of those that `spdbuild weights import` can follow."""
    return [replace(problem, hint=hint if problem is problems[-1] else "") for problem in problems]


def _hint(report: Report, weights: FirstWeights, target: Collection[str]) -> str:
    needed = [entry for entry in report.entries if entry.name is not None]
    fitting = {entry.name for entry in needed if entry.status not in ("missing", "mismatch")}
    if len(fitting) == len(needed):
        return f"write what fits to another file: spdbuild weights import {weights.file} --arch ... --partial -o ..."
    patterns = cover([name for name in target if name not in fitting], target)
    if len(fitting) < (1 - _SHARE) * len(needed) or len(patterns) > _PATTERNS:
        return f"see what the file holds: spdbuild weights show {weights.file}"
    return f"weights.fresh=[{', '.join(patterns)}] leaves random what does not fit"


def _described(report: Report, weights: FirstWeights, fresh: list[str]) -> str:
    names = f", by the names of the table '{report.table}'" if report.table else ""
    taken = sum(report.counts[status] for status in ("loaded", "cast", "permuted", "initial"))
    unused = [entry.theirs or "" for entry in report.having("unused")]
    left = f"; fresh: {', '.join(fresh)}" if fresh else ""
    beyond = f"; not used: {some(unused, _SHOWN)}" if unused else ""
    return f"{taken} weights from {weights.file}{names}{left}{beyond}"

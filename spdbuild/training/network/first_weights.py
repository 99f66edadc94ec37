"""Loading the weights of a file into a recipe's network: all of them, or all but those that stay random."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.errors import Problem, RecipeError, WeightsError
from spdbuild.graph import Graph
from spdbuild.ops.spd import SpdConv2d
from spdbuild.shape import pair
from spdbuild.text.patterns import cover, pick
from spdbuild.training.network.network import BuiltNetwork
from spdbuild.training.recipe import FirstWeights
from spdbuild.weights import StoredWeights, describe_module, load_into, match_file, misfits, open_weights
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.facts import Facts
from spdbuild.weights.matching import elsewhere_hint
from spdbuild.weights.report import Matching
from spdbuild.wording.phrases import some

if TYPE_CHECKING:
    from torch import Tensor

#: A file beyond these is of another network, not of the same with another head: the share of weights that do not fit,
#: and the number of patterns that name them.
_SHARE, _PATTERNS = 0.75, 4
_SHOWN = 8


def load_weights(network: BuiltNetwork, weights: StoredWeights | Mapping[str, Tensor]) -> Matching:
    """Load all weights of a network, and say where they were; raises WeightsError unless they fit exactly.

    weights: in a file, or a state_dict, for which ArgumentError is raised if it is none.
    """
    if isinstance(weights, Mapping):
        architecture = network.architecture
        return load_into(network.module, weights, architecture.renames, architecture.graph)
    state, matching = _matched(network, weights, describe_module(network.module))
    hint = elsewhere_hint(matching) or _show(weights)
    _refuse(weights.file, _advised(list(misfits(matching)), hint))
    network.module.load_state_dict(state)
    return matching


def teacher_line(weights: StoredWeights) -> str:
    """A log line that says which weights a teacher has."""
    where = _under(open_weights(weights.path, weights.key).taken_from) + _behind(weights.prefix or "")
    return f"teacher: weights from {weights.file}{where}"


def start(
    network: BuiltNetwork, weights: FirstWeights, settled: Collection[str] = (), classes: tuple[str, ...] = ()
) -> str:
    """Load a network's initial weights; returns a log line that says what is from the file and what is not.

    settled: names of tensors that keep their values, whatever the file has.
    classes: of the data; the line warns if the file has as many classes under other names.
    """
    target = describe_module(network.module)
    with weights.about("fresh"):
        fresh = pick(target, weights.fresh, "weights.fresh", "weight")
        if len(fresh) == len(target):
            raise RecipeError("weights.fresh leaves nothing to load", hint="leave a pattern out")
    with weights.about("file"):
        wanted = {name: info for name, info in target.items() if name not in set(fresh)}
        state, matching = _matched(network, weights, wanted)
        _refuse(weights.file, _unfitting(matching, weights, target, network.architecture.graph))
    own = {name: tensor for name, tensor in state.items() if name not in settled}
    network.module.load_state_dict(own, strict=False)
    said, kept = _described(matching, weights, cover(fresh, target)), sorted(state.keys() - own.keys())
    said += f"; as the recipe says: {', '.join(kept)}" if kept else ""
    return said if fresh else said + _other_classes(weights, classes)


def _other_classes(weights: FirstWeights, classes: tuple[str, ...]) -> str:
    """A warning that the head has learned other classes than those of the data, if the file says so; else empty."""
    facts = Facts.of(weights)
    learned = facts.classes or facts.names
    differing = [f"'{a}' for '{b}'" for a, b in zip(learned, classes, strict=False) if a != b]
    if len(learned) != len(classes) or not differing:
        return ""
    return f"; warning: its head has learned other classes: {some(differing, _SHOWN)}"


def _matched(
    network: BuiltNetwork, weights: StoredWeights, wanted: Mapping[str, TensorInfo]
) -> tuple[dict[str, Tensor], Matching]:
    """The tensors of the file that fit, by our names or those of a rename table; and what became of each tensor."""
    graph, renames = network.architecture.graph, network.architecture.renames
    whole = describe_module(network.module)
    return match_file(weights, wanted, renames, graph=graph, whole=whole, partial=True)


def _refuse(file: str | Path, problems: Iterable[Problem]) -> None:
    named = tuple(replace(problem, message=f"{file}: {problem.message}") for problem in problems)
    if named:
        raise WeightsError.gather(named)


def _unfitting(matching: Matching, weights: FirstWeights, target: Collection[str], graph: Graph) -> list[Problem]:
    """The problems that keep a run from starting with these weights; the last one has the hint."""
    if weights.fresh:
        matching = replace(matching, entries=tuple(entry for entry in matching.entries if entry.status != "unused"))
    return _advised(list(misfits(matching)), _hint(matching, weights, target, graph))


def _advised(problems: list[Problem], hint: str) -> list[Problem]:
    """The problems with one hint for all, in place of hints that only `spdbuild weights import` can follow."""
    return [replace(problem, hint=hint if problem is problems[-1] else "") for problem in problems]


def _hint(matching: Matching, weights: FirstWeights, target: Collection[str], graph: Graph) -> str:
    if other := elsewhere_hint(matching):
        return other
    needed = [entry for entry in matching.entries if entry.name is not None]
    fitting = {entry.name for entry in needed if entry.status not in ("missing", "mismatch")}
    if len(fitting) == len(needed):
        return f"write what fits to another file: spdbuild weights import {weights.file} --arch ... --partial -o ..."
    spd = {f"{node.name}.weight": node.op for node in graph if isinstance(node.op, SpdConv2d)}
    if any((e.their_shape or ())[2:] == pair(spd[e.name].kernel) for e in matching.having("mismatch") if e.name in spd):
        command = f"spdbuild convert ... --weights {weights.file} -o ... --weights-out ..."
        return f"the file is of the strided network, whose weights are carried over by {command}"
    patterns = cover([name for name in target if name not in fitting], target)
    if len(fitting) < (1 - _SHARE) * len(needed) or len(patterns) > _PATTERNS:
        return _show(weights)
    return f"weights.fresh=[{', '.join(patterns)}] leaves random what does not fit"


def _show(weights: StoredWeights) -> str:
    return f"see what the file holds: spdbuild weights show {weights.file}"


def _under(key: str) -> str:
    return f", under '{key}'" if key else ""


def _behind(prefix: str) -> str:
    return f", behind '{prefix}'" if prefix else ""


def _described(matching: Matching, weights: FirstWeights, fresh: list[str]) -> str:
    names = _under(matching.taken_from)
    names += f", by the names of the table '{matching.table}'" if matching.table else ""
    names += _behind(matching.prefix)
    taken = sum(matching.counts[status] for status in ("loaded", "cast", "permuted", "initial"))
    unused = [entry.theirs or "" for entry in matching.having("unused")]
    left = f"; fresh: {', '.join(fresh)}" if fresh else ""
    beyond = f"; not used: {some(unused, _SHOWN)}" if unused else ""
    return f"{taken} weights from {weights.file}{names}{left}{beyond}"

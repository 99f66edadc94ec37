"""Our weights -> a state_dict under third-party names: what an import did, undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from spdbuild.errors import WeightsError
from spdbuild.graph import Graph
from spdbuild.text.source import Value
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.matching import match_any
from spdbuild.weights.prefixes import SeveralFitError
from spdbuild.weights.report import Entry, Matching
from spdbuild.wording.quantities import shapes_text

if TYPE_CHECKING:
    from torch import Tensor


def restore(
    state: Mapping[str, Tensor],
    like: Mapping[str, TensorInfo],
    tables: Mapping[str, Mapping[str, Value | str]],
    graph: Graph,
    *,
    table: str | None = None,
) -> tuple[dict[str, Tensor], Matching]:
    """The weights `state` of `graph` under the names, in the shapes and in the order of `like`, and where each went.

    An import only moves numbers. So the elements of each tensor of `like` are numbered, and the numbers imported: they
    say where our elements belong. The last layer may have another number of classes than that of `like`. What an
    AveragedModel counts is not among them.

    Raises WeightsError with the first tensor that one side has and the other lacks, or has in another shape.
    """
    shapes = {name: info.shape for name, info in like.items()}
    numbers, matching = _imported_numbers(state, shapes, tables, table, graph)
    last = tuple(f"{name}." for name in _last_with_weights(graph, state))
    resized = {
        entry.theirs or "": (entry.shape or ())[:1] + (entry.their_shape or ())[1:]
        for entry in matching.having("mismatch")
        if entry.name is not None and entry.name.startswith(last)
    }
    if resized:
        shapes |= resized
        numbers, matching = _imported_numbers(state, shapes, tables, table, graph)
    if not matching.fits:
        raise WeightsError(_first_difference(matching))
    ours = {entry.theirs: entry.name for entry in matching.entries if entry.theirs and entry.name}
    found = {name: _restored(state[ours[name]], numbers[ours[name]], shapes[name]) for name in like if name in ours}
    # Their notes tell of the way of an import.
    return found, replace(matching, entries=tuple(replace(entry, note="") for entry in matching.entries))


def _last_with_weights(graph: Graph, state: Mapping[str, Tensor]) -> set[str]:
    """The layers whose weights decide the number of outputs: before them only layers without weights are skipped."""
    with_weights = {name.rpartition(".")[0] for name in state}
    ahead, seen = [output.node for output in graph.outputs], set[str]()
    while ahead:
        name = ahead.pop()
        seen.add(name)
        if not any(layer == name or layer.startswith(f"{name}.") for layer in with_weights):
            ahead += [output.node for output in graph[name].inputs if output.node not in seen]
    return seen


def _imported_numbers(
    state: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    tables: Mapping[str, Mapping[str, Value | str]],
    table: str | None,
    graph: Graph,
) -> tuple[dict[str, Tensor], Matching]:
    """For each element of `state` the position in its tensor among those of `shapes`, as an import brings it there."""
    import torch

    target = {name: TensorInfo(tuple(tensor.shape), "int64", 8 * tensor.numel()) for name, tensor in state.items()}
    numbered = {name: torch.arange(torch.Size(shape).numel()).reshape(shape) for name, shape in shapes.items()}
    try:
        return match_any(target, numbered, tables, table=table, graph=graph)
    except SeveralFitError as error:
        hint = "save the state_dict of one of them, and give that file"
        raise WeightsError(error.problems[0].message, hint=hint) from None


def _restored(tensor: Tensor, numbers: Tensor, shape: tuple[int, ...]) -> Tensor:
    flat = tensor.new_empty(tensor.numel())
    flat[numbers.flatten()] = tensor.flatten()
    return flat.reshape(shape)


def _first_difference(matching: Matching) -> str:
    differing = [entry for entry in matching.entries if entry.status in ("missing", "mismatch", "unused")]
    more = f"; {len(differing) - 1} more differ" if len(differing) > 1 else ""
    return _difference(differing[0]) + more


def _difference(entry: Entry) -> str:
    if entry.status == "missing":
        return f"there is no '{entry.theirs}', which '{entry.name}' of the network would be"
    if entry.status == "unused":
        return f"the network has nothing that would be '{entry.theirs}'"
    theirs, ours = (shapes_text([shape or ()]) for shape in (entry.their_shape, entry.shape))
    return f"'{entry.theirs}' is {theirs}, and '{entry.name}' of the network {ours}"

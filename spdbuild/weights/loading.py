"""Load the weights of a file into a model, matching the names of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from spdbuild.errors import ArgumentError, SpdbuildError, WeightsError
from spdbuild.graph import Graph
from spdbuild.text.source import Value
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.matching import describe_module, match_any, require_fit
from spdbuild.weights.opening import open_weights
from spdbuild.weights.report import Matching
from spdbuild.weights.stored import StoredWeights

if TYPE_CHECKING:
    from torch import Tensor, nn


def match_file(
    weights: StoredWeights,
    target: Mapping[str, TensorInfo],
    tables: Mapping[str, Mapping[str, Value | str]],
    *,
    table: str | None = None,
    graph: Graph | None = None,
    whole: Mapping[str, TensorInfo] | None = None,
    partial: bool = False,
) -> tuple[dict[str, Tensor], Matching]:
    """The state_dict of a model that needs `target`, from any file, and what became of each tensor.

    partial: take what fits. The other arguments are those of `match_any`.
    Raises WeightsError for a file that cannot be read or does not fit.
    """
    contents = open_weights(weights.path, weights.key)
    theirs = contents.load()
    try:
        state, matching = match_any(
            target, theirs, tables, table=table, graph=graph, whole=whole, prefix=weights.prefix
        )
        matching = replace(matching, taken_from=contents.taken_from)
        if not matching.fits:
            matching = replace(matching, other_keys=contents.other_keys())
        if not partial:
            require_fit(matching)
    except WeightsError as error:
        raise _about(weights.path, error) from None
    return state, matching


def load_into(
    module: nn.Module,
    weights: str | Path | StoredWeights | Mapping[str, Tensor],
    tables: Mapping[str, Mapping[str, Value | str]] = MappingProxyType({}),
    graph: Graph | None = None,
) -> Matching:
    """Load all weights of `module`; WeightsError if those given are not exactly these, ArgumentError if they are none.

    weights: a file, or a state_dict. A module on the meta device gets the tensors themselves.
    tables, graph: those of `match_any`, for weights of third-party names.
    """
    target = describe_module(module)
    if isinstance(weights, Mapping):
        state, matching = match_state(weights, target, tables, graph)
    else:
        state, matching = match_file(StoredWeights.of(weights), target, tables, graph=graph)
    on_meta = any(tensor.is_meta for tensor in module.state_dict().values())
    module.load_state_dict(state, assign=on_meta)
    return matching


def match_state(
    weights: Mapping[str, Tensor],
    target: Mapping[str, TensorInfo],
    tables: Mapping[str, Mapping[str, Value | str]],
    graph: Graph | None = None,
) -> tuple[dict[str, Tensor], Matching]:
    """`match_file` for a state_dict; raises ArgumentError for a mapping that is none."""
    require_tensors(weights)
    try:
        state, matching = match_any(target, weights, tables, graph=graph)
        require_fit(matching, in_file=False)
    except WeightsError as error:
        raise _about("the state_dict", error) from None
    return state, matching


def require_tensors(state: Mapping[str, Tensor]) -> None:
    """Refuse a mapping that is no state_dict, and tensors without all of their numbers; raises ArgumentError."""
    import torch
    from torch import Tensor

    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            message = f"a state_dict has tensors by name, and {name!r} is a {type(tensor).__name__}"
            hint = "torch.from_numpy makes tensors of arrays" if hasattr(tensor, "__array__") else _key_hint(state)
            raise ArgumentError(message, argument="weights", hint=hint)
        if tensor.is_meta:
            raise ArgumentError(f"the tensor {name!r} is on the meta device, so it has no numbers", argument="weights")
        if tensor.layout != torch.strided:
            message = f"the tensor {name!r} has the layout {tensor.layout}, and weights are dense"
            raise ArgumentError(message, argument="weights", hint="tensor.to_dense() makes one")


def _key_hint(checkpoint: Mapping[str, Any]) -> str:
    """Which key of a checkpoint that torch.load has read has a state_dict; empty if none has."""
    from torch import Tensor

    for key, part in checkpoint.items():
        if isinstance(part, Mapping) and part and all(isinstance(tensor, Tensor) for tensor in part.values()):
            return f"give what is under {key!r}"
    return ""


def _about(path: Path | str, error: WeightsError) -> SpdbuildError:
    """The error, prefixed with the name of the file."""
    known = any(problem.message.startswith(str(path)) for problem in error.problems)
    return error if known else WeightsError.gather(replace(p, message=f"{path}: {p.message}") for p in error.problems)

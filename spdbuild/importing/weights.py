"""Third-party weights -> weights of an architecture, under its names."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from spdbuild.loading import Architecture, loaded
from spdbuild.modules import compile_graph
from spdbuild.weights import StoredWeights, describe_module, match_file, open_weights, require_some, save_weights
from spdbuild.weights.report import Matching


def import_weights(
    file: str | Path,
    architecture: Architecture | str | Path,
    output: str | Path | None = None,
    *,
    table: str | None = None,
    partial: bool = False,
    key: str | None = None,
    prefix: str | None = None,
) -> tuple[dict[str, Tensor], Matching]:
    """The weights of a third-party file as a state_dict of an architecture, and what became of each tensor.

    file: a safetensors file or a checkpoint of torch, a state_dict or a whole pickled module; nothing in it is run.
    output: safetensors file to write as well, which `build` takes.
    table: rename table of the architecture; by default the one that finds most.
    partial: take what fits and leave out the rest; if nothing fits, that is an error.
    key: the one under which a checkpoint of torch has the weights, such as "model"; by default the first of ema,
        model_ema, state_dict_ema, model, state_dict, model_state, model_state_dict and weights that has any. "a.b" is
        the key b within what is under a.
    prefix: what stands before the names of the file, such as "online."; other tensors are then passed over. By default
        that with which most weights fit.
    Raises WeightsError for a file that cannot be read, does not fit, or has several networks that fit, and
    UnknownNameError for an unknown table.
    """
    architecture = loaded(architecture)
    graph = architecture.graph
    target = describe_module(compile_graph(graph, "meta"))
    weights = StoredWeights(file, key, prefix)
    state, matching = match_file(weights, target, architecture.renames, table=table, graph=graph, partial=partial)
    require_some(matching, file, architecture.name)
    if output is not None:
        save_weights(Path(output), state, _origin(architecture, weights, matching))
    return state, matching


def _origin(architecture: Architecture, weights: StoredWeights, matching: Matching) -> dict[str, str]:
    """What the written file says about where it came from."""
    names = open_weights(weights.path, matching.taken_from or None).metadata.get("names", "")
    chosen = {"variant": architecture.variant, "table": matching.table, "names": names}
    return {
        "architecture": architecture.name,
        **{key: text for key, text in chosen.items() if text},
        **weights.found(matching).origin(),
    }

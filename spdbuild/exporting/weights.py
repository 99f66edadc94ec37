"""Weights of a trained network under the names of another library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from spdbuild.analysis.agreement import relative_error
from spdbuild.errors import ArgumentError, RunError, WeightsError
from spdbuild.exporting.limits import TOLERANCE
from spdbuild.exporting.network import LOGITS, module_of, output_names, trained_weights
from spdbuild.graph import Graph
from spdbuild.importing.zoo import is_named
from spdbuild.importing.zoo import network as library_network
from spdbuild.loading import Architecture
from spdbuild.ops.resampling import SpaceToDepth
from spdbuild.ops.spd import SpdConv2d, SpdPool
from spdbuild.system.files import refuse_overwriting
from spdbuild.training.trained.stored_graph import stored_graph
from spdbuild.weights import describe_module, open_weights, restore, save_weights
from spdbuild.weights.report import Matching
from spdbuild.weights.stored import Weights, weights_from


def export_weights(
    network: Architecture | str | Path,
    like: str | Path,
    output: str | Path | None = None,
    *,
    weights: Weights | None = None,
    table: str | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
    allow_imports: bool = False,
) -> tuple[dict[str, Tensor], Matching]:
    """The weights of a trained network as a state_dict of another library, and where each tensor went.

    It is what `import_weights` does, undone: names, shapes, and the order of the channels of space_to_depth.

    network: the folder of a run, an architecture, its name or path. weights: a file of its weights
        or a state_dict; a run has its own.
    like: a network such as "torchvision:resnet18", which is also run with the weights; or a file of weights, of which
        only names and shapes are used, and the count of an AveragedModel, which is no weight. Its last layer may have
        another number of classes.
    output: safetensors file to write as well.
    table: rename table of the architecture; by default the one that finds most.
    inputs: shapes (C, H, W) in place of the network's own.
    allow_imports: whether Python files that the architecture names under `imports:` may run.
    Raises WeightsError, with the first difference, where `like` has other tensors, and RunError if it has the same
    tensors but does not compute the same.
    """
    trained = stored_graph(network, weights_from(weights), inputs, allow_imports=allow_imports)
    if output is not None and trained.weights is not None:
        refuse_overwriting(Path(output), trained.weights.path)
    ours, source = trained_weights(trained)
    module, example = _library(str(like), trained.graph) if is_named(str(like)) else (None, None)
    contents, taken_from = None, ""
    if module is None:
        contents = open_weights(like)
        wanted, taken_from = contents.tensors, contents.taken_from
    else:
        wanted = describe_module(module)
    try:
        state, matching = restore(ours, wanted, trained.renames, trained.graph, table=table)
    except WeightsError as error:
        hint = _hint(trained.graph)
        told = (
            replace(problem, message=f"{like}: {problem.message}", hint=problem.hint or hint)
            for problem in error.problems
        )
        raise WeightsError.gather(told) from None
    if contents and len(state) < len(wanted):
        counts = contents.load()
        state = {name: state[name] if name in state else counts[name] for name in wanted}
    if module is not None and example is not None:
        module.load_state_dict(state)
        _require_same(str(like), module, module_of(trained.graph, ours, None), example)
    if output is not None:
        origin = {} if source is None else source.origin()
        save_weights(Path(output), state, {"architecture": trained.graph.name, **trained.facts().texts(), **origin})
    return state, replace(matching, taken_from=taken_from)


def _hint(graph: Graph) -> str:
    """What makes a network with layers that no other library has one that others may have; empty without such."""
    if not any(isinstance(node.op, SpaceToDepth | SpdConv2d | SpdPool) for node in graph.layers):
        return ""
    folded = "spdbuild fold ... --keep-norms -o folded.yaml --weights-out folded.safetensors"
    return (
        f"{graph.name} has layers of space-to-depth: fold them first, by `{folded}`; if trained kernels are then larger"
        " than theirs, `spdbuild export ... -o network.pt2` writes a file that runs without spdbuild"
    )


def _library(like: str, graph: Graph) -> tuple[nn.Module, Tensor]:
    """The network of a library for the images and the classes of `graph`, and an image."""
    if len(graph.inputs) != 1 or output_names(graph, None) != (LOGITS,):
        message = f"{like} takes one image and gives logits, and {graph.name} does not"
        raise ArgumentError(message, argument="like", hint="give a file of weights with the names to use")
    return library_network(like, graph.inputs[0].shape, graph.shape_of(graph.outputs[0])[0])


@torch.no_grad()
def _require_same(like: str, module: nn.Module, ours: nn.Module, example: Tensor) -> None:
    error = relative_error(ours(example), module(example))
    if not error <= TOLERANCE:
        message = f"{like} has the same tensors, but its logits differ by {error:.1e} relative to the largest"
        raise RunError(message, hint="it is another network: strides, activations and the like are not in the weights")

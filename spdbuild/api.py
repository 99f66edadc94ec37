"""The Python API for networks: their models, costs, mistakes and pictures, how two differ, and folding.

A network may be an architecture, a graph, a built-in name, a path, YAML text, or the folder of a run, for the network
that it has trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spdbuild import loading
from spdbuild.analysis.alignment import Pair, align
from spdbuild.analysis.cost import Summary, summarize
from spdbuild.checking import check_architecture
from spdbuild.diagram import Mark, Svg, diagram_svg
from spdbuild.errors import ArgumentError, InputError
from spdbuild.graph import Graph
from spdbuild.loading import Architecture, graph_of, loaded, source_of
from spdbuild.modules import compile_graph
from spdbuild.training.trained.stored_graph import StoredGraph, is_run, stored_graph
from spdbuild.weights import StoredWeights, load_into
from spdbuild.weights.stored import Weights, weights_from

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from spdbuild.conversion.folding import Folding
    from spdbuild.conversion.verification import Verification


def load(
    architecture: str | Path,
    variant: str | None = None,
    vars: Mapping[str, Any] | None = None,
    inputs: Sequence[Sequence[int]] | None = None,
    *,
    allow_imports: bool = False,
) -> Architecture:
    """The architecture of a built-in name, a path, YAML text (a text with a line break), or the folder of a run.

    variant, vars: which of the file's variants, and overrides of its vars; a run has made its choice.
    inputs: one shape (C, H, W) per input, in place of the declared ones.
    allow_imports: whether the Python files that the architecture names under `imports:` may run.
    Raises SpdbuildError with the place of every mistake that can be found.
    """
    if not is_run(architecture):
        return loading.load(architecture, variant, vars, inputs, allow_imports=allow_imports)
    if variant or vars:
        raise InputError(
            f"{architecture} is a run, and has the network that it trained", hint="leave variant and vars out"
        )
    from spdbuild.training.trained.stored_run import run_architecture

    return run_architecture(architecture, None, inputs, allow_imports=allow_imports)[0]


def build(
    architecture: Architecture | Graph | str | Path,
    weights: str | Path | StoredWeights | Mapping[str, Tensor] | None = None,
    device: str | torch.device | None = None,
    *,
    seed: int | None = None,
) -> nn.Module:
    """The torch module of an architecture, in training mode, with torch's initial weights or those given.

    What a run has trained is `load_model(run).model`.

    weights: a state_dict or a file, with the network's names or those of a rename table of its architecture.
    device: where the weights are allocated; "meta" takes no memory, and has no room for `weights`.
    seed: if given, the initial weights are those of a run with this seed, drawn layer by layer, on the processor: two
        networks share them in each layer that has the same name and shape in both. Without it torch draws them in turn.
    """
    if device is not None:
        _check_device(device, weights)
    network = StoredGraph.of(architecture if isinstance(architecture, Graph) else loaded(architecture))
    model = compile_graph(network.graph, device) if seed is None else _seeded(network.graph, device, seed)
    if weights is not None:
        load_into(model, weights, network.renames, network.graph)
    return model


def summary(architecture: Architecture | Graph | str | Path) -> Summary:
    """Shapes, parameters and MACs of every layer; no tensor is made, and torch is imported only for a run."""
    return summarize(_graph(architecture))


def check(architecture: Architecture | str | Path, *, allow_imports: bool = False) -> dict[str | None, Graph]:
    """The graph of every variant of an architecture, under None where it has no variants.

    architecture: an architecture, of which the variant and vars that were chosen do not count, or its built-in name, a
        path, or YAML text. allow_imports: whether Python files that it names may run.
    Raises SpdbuildError with all mistakes in the file: in its text, in any variant, and in the counts that it expects.
    """
    source = architecture.document.source if isinstance(architecture, Architecture) else source_of(architecture)
    return dict(check_architecture(source, allow_imports=allow_imports).graphs)


def draw(
    network: Architecture | Graph | str | Path, depth: int = 2, against: Architecture | Graph | str | Path | None = None
) -> Svg:
    """An SVG of the blocks of a network, from top to bottom.

    depth: levels of blocks to show. against: a network to compare with; boxes with layers that differ from its layers
    get a frame, blue if all layers of the box are new and else orange, and a line of text gives the counts.
    """
    graph = _graph(network)
    return diagram_svg(graph, depth, *_differences(_graph(against), graph) if against is not None else ())


def diff(before: Architecture | Graph | str | Path, after: Architecture | Graph | str | Path) -> list[Pair]:
    """The layers of two networks side by side; `pair.equal` says which are the same."""
    return align(_graph(before), _graph(after))


def verify(
    model_a: nn.Module | Architecture | Graph | str | Path,
    model_b: nn.Module | Architecture | Graph | str | Path,
    inputs: Iterable[Tensor | Sequence[Tensor]] | None = None,
    tolerance: float | None = None,
    *,
    weights_a: Weights | None = None,
    weights_b: Weights | None = None,
) -> Verification:
    """Run both on the same inputs and compare.

    model_a, model_b: two modules; or two networks, each an architecture, a graph, a name, a path, YAML text, or the
        folder of a run, which are computed in float64.
    inputs: for each run the tensor that a model takes, or several; each model gets them in its device and dtype. Of
        networks by default random ones.
    tolerance: largest error, max |a - b| / max |a|, that counts as equal. The default allows for rounding in float32,
        1e-5, or for networks without weights of the second in float64, 1e-10.
    weights_a: of a network, a state_dict or a file; by default the best of a run, else random ones.
    weights_b: the same; by default the best of a run, else those of the first, carried over to its conversion.
    Layers match by name; `stage1.conv` and `stage1_conv`, as flat files have it, are the same. The models are put into
    evaluation mode. Raises InputError if the outputs differ in number or shape, or there are no inputs.
    """
    from torch import nn

    from spdbuild.conversion import verification
    from spdbuild.conversion.limits import EXACT, ROUNDED

    if isinstance(model_a, nn.Module) or isinstance(model_b, nn.Module):
        if weights_a is not None or weights_b is not None:
            raise ArgumentError("a module has its weights already", argument="weights_a", hint="leave weights out")
        if inputs is None:
            hint = "for example inputs=torch.randn(2, 3, 224, 224)"
            raise ArgumentError("modules need inputs to run on", argument="inputs", hint=hint)
        modules: tuple[Any, Any] = model_a, model_b
        return verification.verify(*modules, inputs, ROUNDED if tolerance is None else tolerance)
    one, other = (stored_graph(a, weights_from(w)) for a, w in ((model_a, weights_a), (model_b, weights_b)))
    models = verification.in_float64(one.graph, one.read_weights(), other.graph, other.read_weights())
    default = ROUNDED if other.has_weights else EXACT
    given = verification.random_inputs(one.graph) if inputs is None else inputs
    return verification.verify(*models, given, default if tolerance is None else tolerance)


def fold(
    network: Architecture | Graph | str | Path,
    weights: str | Path | StoredWeights | Mapping[str, Tensor] | None = None,
    *,
    fuse: bool = True,
    into_producers: bool = False,
) -> Folding:
    """The network with space-to-depth folded into its convolutions, and without norms after them.

    weights: those of `network`, a state_dict or a file, which may have the names of a rename table; by default the best
        of a run. With them each kernel is the smallest that holds the taps that are not zero, so an exact conversion
        that was not trained becomes the original network again, the same ops with the same bits. Without them every tap
        of the blocks counts. A state_dict of the network's own names keeps its types, such as float64.
    fuse: whether norms are multiplied into the convolutions before them, for evaluation only.
    into_producers: fold a space_to_depth that only the convolution before it can absorb into that, which costs MACs.
    Raises WeightsError for weights that do not fit.
    """
    from spdbuild.conversion import folding

    given = weights_from(weights)
    stored = stored_graph(network, given)
    ours: Mapping[str, Tensor] | None = stored.read_weights()
    if ours is not None and isinstance(given, Mapping) and given.keys() == ours.keys():
        # As they are: matching has rounded float64 to the type of the network.
        ours = given
    return folding.fold(stored.graph, ours, fuse=fuse, into_producers=into_producers, renames=stored.renames)


def _seeded(graph: Graph, device: str | torch.device | None, seed: int) -> nn.Module:
    import torch

    # Its generators of random numbers are left as they were.
    with torch.random.fork_rng(devices=[]):
        model = compile_graph(graph, "meta" if str(device) == "meta" else "cpu", seed)
    return model.to(device or torch.get_default_device())


def _check_device(device: str | torch.device, weights: object) -> None:
    """Refuse a device on which nothing can be allocated, and weights on one that holds none."""
    import torch

    try:
        is_meta = torch.empty(0, device=device).is_meta
    # Torch raises all of these; the last two for devices that it was not built for.
    except (RuntimeError, TypeError, AssertionError, NotImplementedError):
        message, hint = f"there is no device '{device}' here", "every machine has cpu and meta"
        raise ArgumentError(message, argument="device", hint=hint) from None
    if is_meta and weights is not None:
        hint = "leave device out, or weights"
        raise ArgumentError("a model on the meta device cannot hold weights", argument="device", hint=hint)


def _graph(network: Architecture | Graph | str | Path) -> Graph:
    return load(network).graph if isinstance(network, str | Path) else graph_of(network)


def _differences(before: Graph, after: Graph) -> tuple[dict[str, Mark], str]:
    """The marks of the layers that differ from those of `before`, and a summary line."""
    pairs = align(before, after)
    marks: dict[str, Mark] = {
        pair.after.name: "changed" if pair.before else "new" for pair in pairs if pair.after and not pair.equal
    }
    counts = Counter(marks.values())
    gone = sum(pair.after is None for pair in pairs)
    return marks, (
        f"against {before.name}: {counts['changed']} layers changed (orange), {counts['new']} new (blue), {gone} gone"
    )

"""The Python API for networks: their models, costs, mistakes and pictures, how two differ, and folding.

A network may be an architecture, a graph, a built-in name, a path, YAML text, or the folder of a run, for the network
that it has trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from spdbuild import loading
from spdbuild.analysis.alignment import Pair, align
from spdbuild.analysis.cost import Summary, summarize
from spdbuild.checking import check_architecture
from spdbuild.diagram import Mark, diagram_svg
from spdbuild.errors import InputError, WeightsError
from spdbuild.graph import Graph
from spdbuild.loading import Architecture, graph_of, source_of
from spdbuild.modules import compile_graph

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spdbuild.conversion.folding import Folding


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
    if not _is_run(architecture):
        return loading.load(architecture, variant, vars, inputs, allow_imports=allow_imports)
    if variant or vars:
        raise InputError(
            f"{architecture} is a run, and has the network that it trained", hint="leave variant and vars out"
        )
    from spdbuild.training.stored_run import stored_graph

    return stored_graph(architecture, None, inputs, allow_imports=allow_imports).architecture


def build(
    architecture: Architecture | Graph | str | Path,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    device: str | None = None,
) -> nn.Module:
    """The torch module of an architecture, in training mode, with torch's initial weights or those given.

    What a run has trained is `load_model(run).model`.

    weights: a state_dict, or a file written by spdbuild (`import_weights` makes both from third-party files).
    device: where the weights are allocated; "meta" takes no memory.
    """
    model = compile_graph(graph_of(architecture), device)
    if weights is not None:
        from spdbuild.weights import load_into

        try:
            load_into(model, weights)
        except WeightsError as error:
            name = architecture if isinstance(architecture, str | Path) else "ARCH"
            theirs = "FILE" if isinstance(weights, Mapping) else weights
            hint = f"`spdbuild weights import {theirs} --arch {name}` makes a file that fits of other people's"
            raise error.at(None, hint=hint) from None
    return model


def summary(architecture: Architecture | Graph | str | Path) -> Summary:
    """Shapes, parameters and MACs of every layer; no tensor is made, and torch is imported only for a run."""
    return summarize(_graph(architecture))


def check(architecture: str | Path, *, allow_imports: bool = False) -> dict[str | None, Graph]:
    """The graph of every variant of an architecture, under None where it has no variants.

    architecture: built-in name, path, or YAML text. allow_imports: whether Python files that it names may run.
    Raises SpdbuildError with all mistakes in the file: in its text, in any variant, and in the counts that it expects.
    """
    return dict(check_architecture(source_of(architecture), allow_imports=allow_imports).graphs)


def draw(
    network: Architecture | Graph | str | Path, depth: int = 2, against: Architecture | Graph | str | Path | None = None
) -> str:
    """An SVG of the blocks of a network, from top to bottom.

    depth: levels of blocks to show. against: a network to compare with; boxes with layers that differ from its layers
    get a frame, blue if all layers of the box are new and else orange, and a line of text gives the counts.
    """
    graph = _graph(network)
    return diagram_svg(graph, depth, *_differences(_graph(against), graph) if against is not None else ())


def diff(before: Architecture | Graph | str | Path, after: Architecture | Graph | str | Path) -> list[Pair]:
    """The layers of two networks side by side; `pair.equal` says which are the same."""
    return align(_graph(before), _graph(after))


def fold(
    network: Architecture | Graph | str | Path,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    *,
    fuse: bool = True,
    into_producers: bool = False,
) -> Folding:
    """The network with space-to-depth folded into its convolutions, and without norms after them.

    weights: those of `network`, a state_dict or a file; by default the best of a run. With them each kernel is the
        smallest that holds the taps that are not zero, so an exact conversion that was not trained becomes the original
        network again, the same ops with the same bits. Without them every tap of the blocks counts.
    fuse: whether norms are multiplied into the convolutions before them, for evaluation only.
    into_producers: fold a space_to_depth that only the convolution before it can absorb into that, which costs MACs.
    """
    from spdbuild.conversion import folding
    from spdbuild.conversion.weights import weights_of

    graph = _graph(network)
    if weights is None and _is_run(network):
        from spdbuild.training.stored_run import stored_graph

        weights = stored_graph(network).weights
    state = weights_of(graph, Path(weights)) if isinstance(weights, str | Path) else weights
    return folding.fold(graph, state, fuse=fuse, into_producers=into_producers)


def _is_run(network: Any) -> TypeGuard[str | Path]:
    """Whether a folder is meant, which can only be that of a run."""
    # Path.is_dir raises for a long YAML text.
    return isinstance(network, str | Path) and "\n" not in str(network) and Path(network).is_dir()


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

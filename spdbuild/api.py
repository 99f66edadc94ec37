"""The Python API for architectures: their models, costs, mistakes and pictures, and how two of them differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.alignment import Pair, align
from spdbuild.checking import check_architecture
from spdbuild.cost import Summary, summarize
from spdbuild.diagram import Mark, diagram_svg
from spdbuild.errors import WeightsError
from spdbuild.graph import Graph
from spdbuild.loading import Architecture, graph_of, source_of
from spdbuild.modules import compile_graph

if TYPE_CHECKING:
    from torch import Tensor, nn


def build(
    architecture: Architecture | Graph | str | Path,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    device: str | None = None,
) -> nn.Module:
    """The torch module of an architecture, in training mode, with torch's initial weights or those given.

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
    """Shapes, parameters and MACs of every layer; no tensor is made and torch is not imported."""
    return summarize(graph_of(architecture))


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
    graph = graph_of(network)
    return diagram_svg(graph, depth, *_differences(graph_of(against), graph) if against is not None else ())


def diff(before: Architecture | Graph | str | Path, after: Architecture | Graph | str | Path) -> list[Pair]:
    """The layers of two networks side by side; `pair.equal` says which are the same."""
    return align(graph_of(before), graph_of(after))


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

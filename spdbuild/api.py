"""What one calls from Python: a model from an architecture, its costs, its mistakes, and how two differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild import builtin
from spdbuild.alignment import Pair, align
from spdbuild.checking import check_architecture
from spdbuild.cost import Summary, summarize
from spdbuild.graph import Graph
from spdbuild.loading import Architecture, graph_of
from spdbuild.modules import compile_graph
from spdbuild.source import read_source

if TYPE_CHECKING:
    from torch import nn


def build(
    architecture: Architecture | Graph | str | Path, weights: str | Path | None = None, device: str | None = None
) -> nn.Module:
    """The torch module of an architecture, in training mode, with torch's initial weights or those of a file.

    weights: a file written by spdbuild (`weights import` makes one from other people's files).
    device: where the weights are made; "meta" takes no memory.
    """
    model = compile_graph(graph_of(architecture), device)
    if weights is not None:
        from spdbuild.weights import load_into

        load_into(model, Path(weights))
    return model


def summary(architecture: Architecture | Graph | str | Path) -> Summary:
    """Shapes, parameters and MACs of every layer; no tensor is made and torch is not imported."""
    return summarize(graph_of(architecture))


def check(architecture: str | Path, *, allow_imports: bool = False) -> dict[str | None, Graph]:
    """The graph of every variant of a file, under None where it has no variants.

    Raises SpdbuildError with all mistakes of the file: in its text, in any variant, and in the counts that it expects.
    """
    source = read_source(builtin.find(str(architecture), "architectures"))
    return check_architecture(source, allow_imports=allow_imports)


def diff(before: Architecture | Graph | str | Path, after: Architecture | Graph | str | Path) -> list[Pair]:
    """The layers of two networks side by side; `pair.equal` says which are the same."""
    return align(graph_of(before), graph_of(after))

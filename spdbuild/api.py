"""What one calls from Python: a model from an architecture, and its costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spdbuild.cost import Summary, summarize
from spdbuild.graph import Graph
from spdbuild.loading import Architecture, load
from spdbuild.modules import compile_graph

if TYPE_CHECKING:
    from torch import nn


def build(
    architecture: Architecture | Graph | str | Path, weights: str | Path | None = None, device: str | None = None
) -> nn.Module:
    """The torch module of an architecture, in training mode, with torch's initial weights or those of a file.

    weights: a file written by spdbuild (`weights import` makes one from other people's files).
    device: where the weights are made; "meta" takes no memory.
    """
    if isinstance(architecture, str | Path):
        architecture = load(architecture)
    graph = architecture if isinstance(architecture, Graph) else architecture.graph
    model = compile_graph(graph, device)
    if weights is not None:
        from spdbuild.weights import load_into

        load_into(model, Path(weights))
    return model


def summary(architecture: Architecture | Graph | str | Path) -> Summary:
    """Shapes, parameters and MACs of every layer; no tensor is made and torch is not imported."""
    if isinstance(architecture, str | Path):
        architecture = load(architecture)
    return summarize(architecture if isinstance(architecture, Graph) else architecture.graph)

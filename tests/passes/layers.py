"""Graphs as texts that tests compare."""

from __future__ import annotations

from spdbuild.graph import Graph


def ops(graph: Graph) -> list[str]:
    """The layers, each by its name and its call."""
    return [f"{node.name} {node.op}" for node in graph.layers]

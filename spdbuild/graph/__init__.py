"""The network between text and module: named nodes, each with its op, its inputs and its shapes."""

from spdbuild.graph.graph import Graph
from spdbuild.graph.node import Input, Node, Origin, Output

__all__ = ["Graph", "Input", "Node", "Origin", "Output"]

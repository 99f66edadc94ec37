"""The network between text and module: named nodes, each with an op, inputs and shapes."""

from spdbuild.graph.graph import Graph
from spdbuild.graph.node import Input, Node, Origin, Output

__all__ = ["Graph", "Input", "Node", "Origin", "Output"]

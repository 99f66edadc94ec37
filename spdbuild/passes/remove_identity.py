"""Take out the layers that change nothing in evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from spdbuild.graph import Graph, Node
from spdbuild.ops.activation import Identity
from spdbuild.ops.regularization import Dropout, StochasticDepth
from spdbuild.passes.graph_pass import PASSES, Change, GraphPass


@PASSES.register
@dataclass(frozen=True)
class RemoveIdentity(GraphPass):
    """Take out identities, and on request what is an identity in evaluation.

    1. `identity` always goes.
    2. `dropout` and `stochastic_depth` go with `training_only`: for deployment, not for training.
    3. An identity that reads an input of the network and is one of its outputs stays: an output is a layer.

    training_only: also take out layers that act in training alone.

    Source: no paper; the layers compute y = x.
    """

    preserves_output: ClassVar[bool] = True
    training_only: bool = False

    def apply(self, graph: Graph) -> list[Change]:
        changes = []
        for node in graph.layers:
            if self._is_identity(node):
                # As it is now: an identity in front of it may have gone.
                changes.append(_removed(graph, graph[node.name]))
        return changes

    def _is_identity(self, node: Node) -> bool:
        return isinstance(node.op, (Identity, Dropout, StochasticDepth) if self.training_only else Identity)


def _removed(graph: Graph, node: Node) -> Change:
    reads_input = graph[node.inputs[0].node] in graph.inputs
    if reads_input and graph.is_output(node.name):
        return Change.kept(node, "it is an output that reads an input")
    graph.remove(node.name)
    return Change.of(node, None)

"""Remove the layers that change nothing in evaluation."""

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
    """Remove identities, and on request layers that are identities in evaluation.

    1. `identity` is always removed.
    2. `dropout` and `stochastic_depth` are removed with `training_only`, which is for deployment: recipes refuse it.
    3. An identity that reads an input of the network and is one of its outputs stays: an output must be a layer.

    training_only: also remove layers that act only in training.

    Source: no paper; the layers compute y = x.
    """

    preserves_output: ClassVar[bool] = True
    training_only: bool = False

    @property
    def for_training(self) -> bool:  # type: ignore[override]  # Here it depends on an option.
        """Whether the network can be trained after the pass."""
        return not self.training_only

    def apply(self, graph: Graph) -> list[Change]:
        changes = []
        for node in graph.layers:
            if self._is_identity(node):
                # The node as it is now: an identity before it may have been removed.
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

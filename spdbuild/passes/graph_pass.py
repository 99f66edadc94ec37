"""What every pass says about itself, and how passes are run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from spdbuild.errors import Location
from spdbuild.graph import Graph, Node
from spdbuild.ops import Op
from spdbuild.registry import Registry
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Change:
    """What a pass did at one layer, or why it left it alone.

    before, after: the layer's op; `after` is None where the layer was left alone or taken out.
    left: whether the layer was left alone.
    placement: "before" or "after", where a pass distinguishes them.
    anchor, inserted: the layer behind which new layers were put, and their names.
    exact: whether the new layers can compute the very function of the old one.
    why: the reason for which the layer stayed, or was treated otherwise than the options ask.
    """

    name: str
    before: Op
    after: Op | None
    input_shapes: tuple[Shape, ...]
    shape: Shape
    location: Location | None = None
    left: bool = False
    placement: str = ""
    anchor: str = ""
    inserted: tuple[str, ...] = ()
    exact: bool = True
    why: str = ""

    @classmethod
    def of(cls, node: Node, after: Op | None, **fields: Any) -> Change:
        """The change of a layer to the op `after`, or None where it was taken out. fields: the others, by name."""
        return cls(node.name, node.op, after, node.input_shapes, node.shape, node.origin.location, **fields)

    @classmethod
    def kept(cls, node: Node, why: str) -> Change:
        """A layer that could have been changed and was not."""
        return cls.of(node, None, left=True, why=why)


@dataclass(frozen=True)
class GraphPass:
    """Base of all passes: frozen dataclasses whose fields are the options."""

    name: ClassVar[str] = ""
    #: Whether the network computes the same function behind the pass, given the weights that the pass maps.
    preserves_output: ClassVar[bool] = False

    def apply(self, graph: Graph) -> list[Change]:
        """Change `graph`; what was changed and what was left, in the order of the graph."""
        raise NotImplementedError

    def transfer(
        self, before: Graph, after: Graph, changes: Sequence[Change], weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """A state dict of the network `before` this pass as one of the network `after` it; torch is imported in here.

        changes: what `apply` returned. Raises PassError where the function cannot be kept.
        """
        return dict(weights)


PASSES: Registry[GraphPass] = Registry("pass", "spdbuild.passes", "spdbuild.passes")


def run_passes(graph: Graph, passes: Iterable[GraphPass]) -> tuple[Graph, list[Change]]:
    """A changed copy of `graph`, and all changes; the shapes are inferred anew between any two passes."""
    graph = graph.copy()
    changes: list[Change] = []
    for step in passes:
        changes += step.apply(graph)
        graph.infer_shapes()
    return graph, changes

"""The base class of all passes, their registry, and how they are run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from spdbuild.declaring.registry import Registry
from spdbuild.errors import Location
from spdbuild.graph import Graph, Node
from spdbuild.ops import Op
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Change:
    """What a pass did to one layer, or why it left the layer alone.

    before, after: the layer's op; `after` is None where the layer was left alone or removed.
    left: whether the layer was left alone.
    placement: "before" or "after", where a pass distinguishes them.
    anchor, inserted: the layer after which new layers were inserted, and their names.
    exact: whether the new layers can compute exactly the function of the old one.
    why: the reason why the layer stayed, or was not treated as the options ask.
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
        """The change of a layer to the op `after`, or None where it was removed. fields: the other fields."""
        return cls(node.name, node.op, after, node.input_shapes, node.shape, node.origin.location, **fields)

    @classmethod
    def kept(cls, node: Node, why: str) -> Change:
        """A layer that could have been changed and was not."""
        return cls.of(node, None, left=True, why=why)


@dataclass(frozen=True)
class GraphPass:
    """Base of all passes: frozen dataclasses whose fields are the options."""

    name: ClassVar[str] = ""
    #: Whether the network computes the same function after the pass, given the weights that the pass maps.
    preserves_output: ClassVar[bool] = False
    #: Whether the network can be trained after the pass, so that a recipe may ask for it.
    for_training: ClassVar[bool] = True

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
    """A changed copy of `graph`, and all changes; the shapes are inferred anew after each pass."""
    graph = graph.copy()
    changes: list[Change] = []
    for step in passes:
        changes += step.apply(graph)
        graph.infer_shapes()
    return graph, changes

"""Which weights read channels that space_to_depth made in another order than the file's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spdbuild.errors import WeightsError
from spdbuild.graph import Graph, Node
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.resampling import SpaceToDepth
from spdbuild.phases import Order
from spdbuild.shape import pair

#: Families of ops that keep channels apart, and at most have weights for each of them.
_CHANNELWISE = ("activation", "pooling", "regularization", "normalization")
_NORM_WEIGHTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Reordering:
    """A weight reads channels of space_to_depth in the order `target`; the file's weight has the order `source`."""

    source: Order = "column_row_channel"
    target: Order = "column_row_channel"
    block: tuple[int, int] = (2, 2)
    axis: int = 1


def find_reorderings(graph: Graph, source: Order | None = "column_row_channel") -> dict[str, Reordering]:
    """Which weights read channels of space_to_depth, by our names, for a file whose space_to_depth has another order.

    source: the order of the file; None for a file of our own, which has the order of the network.
    Raises WeightsError where such channels reach what permuted weights cannot correct: a concatenation, groups.
    """
    return dict(_reorderings(graph, source))


def _reorderings(graph: Graph, source: Order | None) -> Iterator[tuple[str, Reordering]]:
    behind: dict[str, Reordering] = {}
    for node in graph:
        reordering = next((behind[output.node] for output in node.inputs if output.node in behind), None)
        if isinstance(node.op, SpaceToDepth) and node.op.order != source and node.op.simplified(node.input_shapes[0]):
            behind[node.name] = Reordering(source or node.op.order, node.op.order, pair(node.op.block), axis=0)
        elif reordering is None:
            continue
        elif isinstance(node.op, Conv2d) and node.op.groups == 1:
            yield f"{node.name}.weight", replace(reordering, axis=1)
        elif node.op.family in _CHANNELWISE and getattr(node.op, "groups", 1) == 1:
            behind[node.name] = reordering
            yield from ((f"{node.name}.{part}", reordering) for part in _NORM_WEIGHTS if node.parameters)
        elif source is not None:
            raise _unreachable(node, reordering)


def _unreachable(node: Node, reordering: Reordering) -> WeightsError:
    return WeightsError(
        f"'{node.name}' reads channels in the order {reordering.target}, and the file's are in {reordering.source}",
        hint=f'write space_to_depth(order="{reordering.source}") in the architecture',
    )

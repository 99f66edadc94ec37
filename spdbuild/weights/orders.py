"""Which weights read channels that space_to_depth made, and in which order a file and the network have them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spdbuild.errors import WeightsError
from spdbuild.graph import Graph, Node
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.resampling import DepthToSpace, SpaceToDepth
from spdbuild.ops.spd import SpdConv2d
from spdbuild.phases import Order, phase_order
from spdbuild.shape import pair

#: Families of ops that keep channels apart, and at most have weights for each of them; the first also keep pixels.
_POINTWISE = ("activation", "regularization", "normalization")
_CHANNELWISE = (*_POINTWISE, "pooling")
_NORM_WEIGHTS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Reordering:
    """A weight reads channels of space_to_depth in the order `target`; the file's weight has the order `source`."""

    source: Order = "column_row_channel"
    target: Order = "column_row_channel"
    block: tuple[int, int] = (2, 2)
    axis: int = 1


def find_reorderings(graph: Graph, source: Order | None = None) -> dict[str, Reordering]:
    """Which weights read channels of space_to_depth, by our names.

    A space_to_depth that undoes a depth_to_space belongs to a channel shuffle, whose order is what it computes: it is
    the same in every file.

    source: the order of the file; None for that of the network, whichever it is.
    Raises WeightsError where channels in another order than the network's reach what permuted weights cannot correct:
    a concatenation, groups.
    """
    return dict(_reorderings(graph, source))


def _reorderings(graph: Graph, source: Order | None) -> Iterator[tuple[str, Reordering]]:
    behind: dict[str, Reordering] = {}
    for node in graph:
        reordering = next((behind[output.node] for output in node.inputs if output.node in behind), None)
        same = reordering is None or reordering.source == reordering.target
        if isinstance(node.op, SpaceToDepth) and same and not _undoes(graph, node, node.op):
            behind[node.name] = Reordering(source or node.op.order, node.op.order, pair(node.op.block), axis=0)
        elif isinstance(node.op, SpdConv2d) and same and node.op.groups == 1 and pair(node.op.stride) != (1, 1):
            order = phase_order(node.op.order, node.op.groups)
            yield f"{node.name}.weight", Reordering(source or order, order, pair(node.op.stride))
        elif reordering is None:
            continue
        elif isinstance(node.op, Conv2d) and node.op.groups == 1:
            yield f"{node.name}.weight", replace(reordering, axis=1)
        elif node.op.family in _CHANNELWISE and getattr(node.op, "groups", 1) == 1:
            behind[node.name] = reordering
            yield from ((f"{node.name}.{part}", reordering) for part in _NORM_WEIGHTS if node.parameters)
        elif not same:
            raise _unreachable(node, reordering)


def _undoes(graph: Graph, node: Node, op: SpaceToDepth) -> bool:
    """Whether a space_to_depth brings back together the pixels that a depth_to_space has made of channels."""
    before = graph[node.inputs[0].node]
    while before.op.family in _POINTWISE:
        before = graph[before.inputs[0].node]
    return isinstance(before.op, DepthToSpace) and pair(before.op.block) == pair(op.block)


def _unreachable(node: Node, reordering: Reordering) -> WeightsError:
    return WeightsError(
        f"'{node.name}' reads channels in the order {reordering.target}, and the file's are in {reordering.source}",
        hint=f'write space_to_depth(order="{reordering.source}") in the architecture',
    )

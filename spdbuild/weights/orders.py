"""Which weights read channels that space_to_depth made in an order that is not the file's."""

from __future__ import annotations

from collections.abc import Iterator

from spdbuild.errors import WeightsError
from spdbuild.graph import Graph, Node
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.op import pair
from spdbuild.ops.resampling import SpaceToDepth
from spdbuild.phases import Order
from spdbuild.weights.matching import Reordering

#: Families of ops that leave each channel what it was, but for weights of their own.
_CHANNELWISE = ("activation", "pooling", "regularization", "normalization")
_NORM_WEIGHTS = ("weight", "bias", "running_mean", "running_var")


def find_reorderings(graph: Graph, source: Order = "column_row_channel") -> dict[str, Reordering]:
    """What to permute, by the names of our weights, for a file whose space_to_depth has the order `source`.

    Raises WeightsError where such channels meet what permuted weights cannot set right: a concatenation, groups.
    """
    return dict(_reorderings(graph, source))


def _reorderings(graph: Graph, source: Order) -> Iterator[tuple[str, Reordering]]:
    behind: dict[str, Reordering] = {}
    for node in graph:
        reordering = next((behind[output.node] for output in node.inputs if output.node in behind), None)
        if isinstance(node.op, SpaceToDepth) and node.op.order != source and node.op.simplified(node.input_shapes[0]):
            behind[node.name] = Reordering(source, node.op.order, pair(node.op.block), axis=0)
        elif reordering is None:
            continue
        elif isinstance(node.op, Conv2d) and node.op.groups == 1:
            yield f"{node.name}.weight", Reordering(source, reordering.target, reordering.block, axis=1)
        elif node.op.family in _CHANNELWISE and getattr(node.op, "groups", 1) == 1:
            behind[node.name] = reordering
            yield from ((f"{node.name}.{part}", reordering) for part in _NORM_WEIGHTS if node.parameters)
        else:
            raise _unreachable(node, reordering)


def _unreachable(node: Node, reordering: Reordering) -> WeightsError:
    return WeightsError(
        f"'{node.name}' reads channels in the order {reordering.target}, and the file's are in {reordering.source}",
        hint=f'write space_to_depth(order="{reordering.source}") in the architecture',
    )

"""Fold space-to-depth into the convolutions around it, for deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from spdbuild.graph import Graph, Node, Output
from spdbuild.graph.names import free_name
from spdbuild.ops import Op
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.merging import Add, Concat
from spdbuild.ops.resampling import SpaceToDepth
from spdbuild.ops.spd import SpdConv2d, SpdPool
from spdbuild.passes.graph_pass import PASSES, Change, GraphPass
from spdbuild.shape import pair
from spdbuild.weight_transfer.folding import (
    fold_blocks,
    fold_producer,
    fold_reader,
    folded_producer,
    folded_reader,
    folded_spd,
)

if TYPE_CHECKING:
    from torch import Tensor


@PASSES.register
@dataclass(frozen=True)
class FoldSpd(GraphPass):
    """Turn space-to-depth and the convolutions around it into strided convolutions.

        spd_conv2d, spd_avg_pool, spd_max_pool  becomes   conv2d(stride=s)
        space_to_depth(s) -> conv2d(k)                    conv2d(s*k, stride=s)
        space_to_depth(s) -> concat -> conv2d(k)          conv2d(s*k, stride=s) + conv2d(k) of the rest
        conv2d(k) -> space_to_depth(s) -> norm            conv2d(k + s - 1, stride=s) -> norm

    1. An SPD-Conv layer over blocks is a strided convolution over their pixels; a kernel of K blocks is one of s*K.
    2. A space_to_depth that only convolutions read folds into each of them, whatever their number.
    3. Where a convolution reads it through a concat, that convolution is split in two: one reads what space_to_depth
       read, the other the rest of the concat, and their outputs are added.
    4. A space_to_depth that another layer reads, such as a norm, folds on request into the convolution before it, if
       nothing else reads that: with s*s times the channels and ((k + s - 1)/k)**2 times the MACs, because each phase
       has the kernel in another place. The released ResNets have their space_to_depth there, and are slower folded.
    5. Any other space_to_depth stays, and the report says why.

    The function is the same at the declared size of the input, and at sizes that leave the same remainders when divided
    by the product of the strides on each path, such as all multiples of 32. Case 4 applies where no zeros are added to
    fill up blocks.

    The folded network is for deployment, of weights that were trained before: recipes refuse the pass.

    into_producers: whether case 4 applies, so that a target without space_to_depth can run the network.

    Source: Sunkara and Luo 2022, arXiv:2208.03641, gives the layers; why they are strided convolutions with larger
    kernels is derived in spdbuild.phases.
    """

    preserves_output: ClassVar[bool] = True
    for_training: ClassVar[bool] = False
    into_producers: bool = False

    def apply(self, graph: Graph) -> list[Change]:
        places = {name: place for place, name in enumerate(graph.names)}
        changes = [_spd_folded(graph, node) for node in graph.layers if _is_spd(node.op)]
        for node in graph.layers:
            if isinstance(node.op, SpaceToDepth):
                changes += self._folded(graph, graph[node.name], node.op)
        return sorted(changes, key=lambda change: places[change.name])

    def transfer(
        self, before: Graph, after: Graph, changes: Sequence[Change], weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        moved = dict(weights)
        read: dict[str, list[Output]] = {}
        for change in changes:
            if isinstance(change.before, SpdConv2d | SpdPool) and isinstance(change.after, Conv2d):
                name = f"{change.name}.weight"
                moved[name] = fold_blocks(moved[name], change.before, change.after)
            elif isinstance(change.before, Conv2d) and isinstance(change.after, Conv2d):
                _fold_conv(before, change, change.before, change.after, moved, read)
        return moved

    def _folded(self, graph: Graph, node: Node, op: SpaceToDepth) -> list[Change]:
        readers = graph.users(node.name)
        obstacle = _obstacle(graph, node, op, readers)
        if not obstacle:
            return _into_readers(graph, node, op, readers, self.name)
        producer = graph[node.inputs[0].node]
        if not _folds_into(graph, producer, node, op):
            return [Change.kept(node, obstacle)]
        if not self.into_producers:
            return [Change.kept(node, f"{obstacle}; into_producers folds it into {producer.name}, which costs MACs")]
        return _into_producer(graph, node, op, producer)


def _is_spd(op: Op) -> bool:
    return isinstance(op, SpdConv2d | SpdPool) and pair(op.stride) != (1, 1)


def _spd_folded(graph: Graph, node: Node) -> Change:
    assert isinstance(node.op, SpdConv2d | SpdPool)
    folded = folded_spd(node.op, node.input_shapes[0])
    graph.replace_op(node.name, folded)
    return Change.of(node, folded)


def _obstacle(graph: Graph, node: Node, op: SpaceToDepth, readers: list[Node]) -> str:
    """Why the node does not fold into what reads it; empty if it does."""
    if graph.is_output(node.name):
        return "it is an output of the network"
    for reader in readers:
        if isinstance(reader.op, Concat):
            behind = graph.users(reader.name)
            split = all(isinstance(user.op, Conv2d) and user.op.groups == 1 for user in behind)
            if not split or graph.is_output(reader.name) or reader.inputs.count(Output(node.name)) > 1:
                return f"{reader.name} joins it with others, and not only convolutions read that"
        elif not _takes(reader.op, op, node.input_shapes[0].channels):
            return f"{reader.name} reads it: {reader.op}"
    return ""


def _takes(reader: Op, op: SpaceToDepth, channels: int) -> bool:
    """Whether a reader is a convolution each of whose groups reads whole ones of the `channels` before the op."""
    if not isinstance(reader, Conv2d):
        return False
    return reader.groups == 1 or (op.order == "channel_row_column" and channels % reader.groups == 0)


def _into_readers(graph: Graph, node: Node, op: SpaceToDepth, readers: list[Node], by: str) -> list[Change]:
    changes = [Change.of(node, None)]
    with graph.changes():
        for reader in readers:
            if isinstance(reader.op, Conv2d):
                folded = folded_reader(op, reader.op, node.input_shapes[0])
                graph.replace_op(reader.name, folded)
                changes.append(Change.of(reader, folded, anchor=node.name))
            else:
                changes += _past_concat(graph, node, op, reader, by)
        graph.remove(node.name)
    return changes


def _past_concat(graph: Graph, node: Node, op: SpaceToDepth, concat: Node, by: str) -> list[Change]:
    """Split every convolution that reads the concat in two, and remove the node from the concat."""
    changes = []
    for reader in graph.users(concat.name):
        assert isinstance(reader.op, Conv2d)
        fine, total = (free_name(f"{reader.name}_{part}", graph) for part in ("fine", "sum"))
        folded = replace(folded_reader(op, reader.op, node.input_shapes[0]), bias=False)
        graph.insert_after(reader.name, fine, folded, by)
        graph.rewire(fine, node.inputs)
        graph.insert_after(fine, total, Add(), by)
        graph.rewire(total, [reader.name, fine])
        changes.append(Change.of(reader, folded, anchor=node.name, inserted=(fine, total)))
    rest = [output for output in concat.inputs if output.node != node.name]
    graph.rewire(concat.name, rest)
    if len(rest) == 1:
        graph.remove(concat.name)
        changes.append(Change.of(concat, None))
    return changes


def _folds_into(graph: Graph, producer: Node, node: Node, op: SpaceToDepth) -> bool:
    """Whether `producer` is a convolution that can compute the phases of `node` as its own channels."""
    conv, (height, width), size = producer.op, pair(op.block), node.input_shapes[0]
    return (
        isinstance(conv, Conv2d)
        and pair(conv.stride) == (1, 1)
        and (conv.groups == 1 or op.order == "channel_row_column")
        and graph.users(producer.name) == [node]
        and not graph.is_output(producer.name)
        and size.height % height == size.width % width == 0
    )


def _into_producer(graph: Graph, node: Node, op: SpaceToDepth, producer: Node) -> list[Change]:
    assert isinstance(producer.op, Conv2d)
    folded = folded_producer(op, producer.op, producer.input_shapes[0])
    with graph.changes():
        graph.replace_op(producer.name, folded)
        graph.remove(node.name)
    return [Change.of(node, None), Change.of(producer, folded, anchor=node.name)]


def _fold_conv(
    before: Graph, change: Change, old: Conv2d, new: Conv2d, moved: dict[str, Tensor], read: dict[str, list[Output]]
) -> None:
    """Fold the weight of one convolution; `read` holds what split convolutions still read of their concat."""
    space_to_depth = before[change.anchor].op
    assert isinstance(space_to_depth, SpaceToDepth)
    name = f"{change.name}.weight"
    if before[change.anchor].inputs[0].node == change.name:
        moved[name] = fold_producer(moved[name], space_to_depth, old, new)
        if old.bias:
            moved[f"{change.name}.bias"] = fold_producer(moved[f"{change.name}.bias"], space_to_depth, old, new)
    elif change.inserted:
        inputs = read.setdefault(change.name, list(before[before[change.name].inputs[0].node].inputs))
        fine, moved[name] = _cut(moved[name], before, inputs, change.anchor)
        moved[f"{change.inserted[0]}.weight"] = fold_reader(fine, space_to_depth, old, new)
    else:
        moved[name] = fold_reader(moved[name], space_to_depth, old, new)


def _cut(weight: Tensor, before: Graph, inputs: list[Output], part: str) -> tuple[Tensor, Tensor]:
    """The weight of one input of a concat, and that of the others; `part` is removed from `inputs`."""
    widths = [before.shape_of(output).channels for output in inputs]
    place = [output.node for output in inputs].index(part)
    del inputs[place]
    start, stop = sum(widths[:place]), sum(widths[: place + 1])
    others = [i for i in range(sum(widths)) if not start <= i < stop]
    return weight[:, start:stop], weight[:, others]

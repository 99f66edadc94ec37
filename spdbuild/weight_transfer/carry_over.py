"""Carry the weights of a network over to its converted form, so that both compute the same.

Both graphs are walked together. For every layer that they share, an `Embedding` says how its old output lies within its
new one, and the op's rule gives the weights that keep it there. Where space_to_depth was inserted after a convolution,
the strided output is its phase (0, 0); the layers that read it give the other phases weights of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spdbuild.errors import PassError
from spdbuild.graph import Graph, Input, Node, Output
from spdbuild.ops.resampling import SpaceToDepth
from spdbuild.phases import phase_axes
from spdbuild.shape import pair
from spdbuild.weight_transfer.embedding import Embedding
from spdbuild.weight_transfer.layer import Carried, Layer
from spdbuild.weight_transfer.rules import rule

if TYPE_CHECKING:
    from torch import Tensor

#: Outputs of the new network that are known to hold an output of the old one.
Embeddings = dict[Output, Embedding]


def carry_over(before: Graph, after: Graph, weights: Mapping[str, Tensor], *, lossy: bool = False) -> dict[str, Tensor]:
    """The state dict of `after` with which it computes what `before` computes with `weights`.

    after: `before` with strided layers replaced (`spd_conv2d`, `spd_avg_pool`), or unstrided with a space_to_depth
        after them. Not exact are a `spd_max_pool`, which begins as a mean, and a `spd_avg_pool` where windows at the
        border divide by fewer pixels.
    lossy: drop the taps that do not fit into a smaller kernel, instead of refusing it.
    Raises PassError where some layer cannot keep its function, and WeightsError where `weights` lack a tensor.
    """
    owned = by_layer(before, weights)
    like = next((tensor for tensor in weights.values() if tensor.is_floating_point()), None)
    embeddings: Embeddings = {}
    carried: dict[str, Tensor] = {}
    for node in after:
        if isinstance(node.op, Input):
            embeddings[Output(node.name)] = Embedding.same(Output(node.name), node.shape.channels)
        elif node.name not in before:
            embeddings[Output(node.name)] = _inserted(before, node, embeddings[node.inputs[0]])
        else:
            layer = Layer(before[node.name], node, _inputs(before, node, embeddings), owned[node.name], lossy, like)
            found = rule(node.op, layer)
            carried |= {f"{node.name}.{name}": tensor for name, tensor in found.weights.items()}
            embeddings |= _checked(layer, found)
    for old, new in zip(before.outputs, after.outputs, strict=True):
        if embeddings[new].of != old or not embeddings[new].is_same:
            raise PassError(f"output '{new}' of {after.name} has other channels than output '{old}' of {before.name}")
    return carried


def by_layer(graph: Graph, weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer by their names within it."""
    owned: dict[str, dict[str, Tensor]] = {name: {} for name in graph.names}
    for name, tensor in weights.items():
        layer = name
        while layer and layer not in owned:
            layer = layer.rpartition(".")[0]
        if layer:
            owned[layer][name.removeprefix(f"{layer}.")] = tensor
    return owned


def _inputs(before: Graph, node: Node, embeddings: Embeddings) -> tuple[Embedding, ...]:
    inputs = tuple(embeddings[output] for output in node.inputs)
    read = before[node.name].inputs
    if tuple(x.of for x in inputs) != read:
        were = ", ".join(map(str, read))
        raise node.origin.place(PassError(f"'{node.name}' reads other layers than before, where it read {were}"))
    return inputs


def _inserted(before: Graph, node: Node, x: Embedding) -> Embedding:
    """The output of a new layer: space_to_depth after a convolution that has lost its stride."""
    if not isinstance(node.op, SpaceToDepth) or x.step != pair(node.op.block):
        why = f"{before.name} has no layer '{node.name}', and {node.op} does not stand for a stride that is gone"
        raise node.origin.place(PassError(why))
    (height, width), channels = x.step, len(x.kin)
    sizes = phase_axes(node.op.order, channel=channels, row=height, column=width)
    names = phase_axes(node.op.order, channel=0, row=1, column=2)
    kin, carries = [], []
    for place in range(channels * height * width):
        outer, inner = divmod(place, sizes[2])
        at = dict(zip(names, (*divmod(outer, sizes[1]), inner), strict=True))
        kin.append(x.kin[at[0]])
        carries.append(x.carries[at[0]] and at[1] == at[2] == 0)
    return Embedding(x.of, tuple(kin), tuple(carries))


def _checked(layer: Layer, found: Carried) -> Embeddings:
    """The outputs of a layer by name, each with as many channels as the layer has."""
    outputs = {Output(layer.new.name, index): output for index, output in enumerate(found.outputs)}
    for (name, output), shape in zip(outputs.items(), layer.new.shapes, strict=True):
        if len(output.kin) != shape.channels:
            raise layer.refusal(f"{name} has {shape.channels} channels, of which {len(output.kin)} are known")
    return outputs

"""The weights with which an op computes the same although its inputs lie elsewhere: one rule for each kind of op.

A rule takes the layer and returns the new layer's tensors and how its outputs lie; it raises PassError where the op
cannot keep its function. `rule` dispatches on the class of the new network's op.
"""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch
from itertools import product
from typing import TYPE_CHECKING

from spdbuild.graph import Output
from spdbuild.ops.activation import Activation, Prelu
from spdbuild.ops.convolution import Conv2d, Convolution
from spdbuild.ops.dense import Flatten, Linear
from spdbuild.ops.detection import Detect
from spdbuild.ops.merging import Add, Concat, Mul, Split
from spdbuild.ops.normalization import BatchNorm, LayerNorm, LayerScale
from spdbuild.ops.op import Op
from spdbuild.ops.pooling import AdaptivePool, AvgPool, GlobalPool, MaxPool, Pool
from spdbuild.ops.regularization import Regularization
from spdbuild.ops.resampling import Upsample
from spdbuild.ops.spd import SpdConv2d, SpdPool
from spdbuild.phases import phase_order
from spdbuild.shape import pair
from spdbuild.weight_transfer.embedding import Embedding
from spdbuild.weight_transfer.kernel import PixelKernel
from spdbuild.weight_transfer.layer import Carried, Layer

if TYPE_CHECKING:
    from torch import Tensor


@singledispatch
def rule(op: Op, layer: Layer) -> Carried:
    """Any other op: neither it nor what it reads may have changed."""
    _same_op(layer)
    if not all(x.is_same for x in layer.inputs):
        raise layer.refusal("it would mix channels that were not there")
    outputs = [Embedding.same(Output(layer.old.name, i), shape.channels) for i, shape in enumerate(layer.old.shapes)]
    return Carried(layer.weights, outputs)


@rule.register(Activation)
@rule.register(Regularization)
def _pointwise(op: Op, layer: Layer) -> Carried:
    _same_op(layer)
    return Carried(layer.weights, [layer.output(layer.x)])


@rule.register(BatchNorm)
@rule.register(LayerScale)
def _per_channel(op: Op, layer: Layer) -> Carried:
    """Every channel is treated like its kin."""
    _same_op(layer)
    kin = list(layer.x.kin)
    weights = {name: tensor[kin] if tensor.dim() else tensor for name, tensor in layer.weights.items()}
    return Carried(weights, [layer.output(layer.x)])


@rule.register(Prelu)
def _prelu(op: Prelu, layer: Layer) -> Carried:
    return (_per_channel if op.per_channel else _pointwise)(op, layer)


@rule.register(LayerNorm)
def _per_position(op: LayerNorm, layer: Layer) -> Carried:
    _same_op(layer)
    if not layer.x.same_channels:
        raise layer.refusal("its mean would be taken over channels that were not there")
    return Carried(layer.weights, [layer.output(layer.x)])


@rule.register(MaxPool)
@rule.register(AvgPool)
@rule.register(GlobalPool)
@rule.register(AdaptivePool)
@rule.register(Upsample)
def _channel_by_channel(op: Op, layer: Layer) -> Carried:
    _same_op(layer)
    _same_pixels(layer)
    return Carried({}, [layer.output(layer.x)])


@rule.register(SpdPool)
def _pool(op: SpdPool, layer: Layer) -> Carried:
    """A pool's replacement begins as an average of each channel; one that was there before keeps its weights."""
    if layer.old.op == op:
        return rule.dispatch(Op)(op, layer)
    if not isinstance(layer.old.op, Pool) or layer.old.op != op.strided():
        raise layer.refusal(f"it was {layer.old.op}")
    _same_pixels(layer)
    weight = op.initial_weight(*layer.new.input_shapes)
    return Carried({"weight": weight if layer.like is None else weight.to(layer.like)}, [layer.output(layer.x)])


@rule.register(Convolution)
def _convolution(op: Convolution, layer: Layer) -> Carried:
    old = layer.old.op
    if not isinstance(old, Conv2d | SpdConv2d) or (old.out, old.groups, old.bias) != (op.out, op.groups, op.bias):
        raise layer.refusal(f"it was {old}")
    _same_pixels(layer)
    if op == old and isinstance(op, SpdConv2d) and not layer.x.is_same:
        raise layer.refusal("it was converted before")
    weight = _expanded(layer, layer.tensor("weight"), layer.x, layer.new.input_shapes[0].channels, op.groups)
    step = (1, 1)
    if op != old:
        if not isinstance(old, Conv2d):
            raise layer.refusal(f"it was {old}")
        if isinstance(op, SpdConv2d):
            weight = _in_blocks(layer, op, old, weight)
        else:
            step = _unstrided(layer, op, old)
    weights = {**layer.weights, "weight": weight}
    return Carried(weights, [layer.output(step=step)])


@rule.register(Linear)
def _linear(op: Linear, layer: Layer) -> Carried:
    _same_op(layer)
    weight = _expanded(layer, layer.tensor("weight"), layer.x, layer.new.input_shapes[0].channels)
    return Carried({**layer.weights, "weight": weight}, [layer.output()])


@rule.register(Detect)
def _detect(op: Detect, layer: Layer) -> Carried:
    _same_op(layer)
    _same_pixels(layer)
    weights = dict(layer.weights)
    for level, (x, shape) in enumerate(zip(layer.inputs, layer.new.input_shapes, strict=True)):
        name = f"levels.{level}.weight"
        weights[name] = _expanded(layer, layer.tensor(name), x, shape.channels)
    outputs = [Embedding.same(Output(layer.old.name, i), shape.channels) for i, shape in enumerate(layer.old.shapes)]
    return Carried(weights, outputs)


@rule.register(Add)
@rule.register(Mul)
def _elementwise(op: Op, layer: Layer) -> Carried:
    """All inputs must lie in the same way; those of `mul`, which takes vectors and single pixels, without a step."""
    _same_op(layer)
    if len({(x.kin, x.carries, x.step) for x in layer.inputs}) != 1:
        raise layer.refusal("its inputs no longer have their channels in the same places")
    if isinstance(op, Mul):
        _same_pixels(layer)
    return Carried({}, [layer.output(layer.x)])


@rule.register(Concat)
def _concat(op: Concat, layer: Layer) -> Carried:
    _same_op(layer)
    if len({x.step for x in layer.inputs}) != 1:
        raise layer.refusal("its inputs no longer have the same resolution")
    kin: list[int] = []
    before = 0
    for x, shape in zip(layer.inputs, layer.old.input_shapes, strict=True):
        kin += [before + channel for channel in x.kin]
        before += shape.channels
    carries = tuple(carried for x in layer.inputs for carried in x.carries)
    return Carried({}, [Embedding(Output(layer.old.name), tuple(kin), carries, layer.x.step)])


@rule.register(Split)
def _split(op: Split, layer: Layer) -> Carried:
    """Each part must hold all channels that it held, and only their kin."""
    _same_op(layer)
    outputs = []
    before = start = 0
    for index, (old, new) in enumerate(zip(layer.old.shapes, layer.new.shapes, strict=True)):
        part = slice(start, start + new.channels)
        kin = tuple(channel - before for channel in layer.x.kin[part])
        output = Embedding(Output(layer.old.name, index), kin, layer.x.carries[part], layer.x.step)
        if set(kin) != set(range(old.channels)) or len(output.places) != old.channels:
            raise layer.refusal("its parts would hold other channels than they did")
        outputs.append(output)
        before, start = before + old.channels, start + new.channels
    return Carried({}, outputs)


@rule.register(Flatten)
def _flatten(op: Flatten, layer: Layer) -> Carried:
    _same_pixels(layer)
    pixels = layer.old.input_shapes[0].pixels
    kin = tuple(channel * pixels + i for channel, i in product(layer.x.kin, range(pixels)))
    carries = tuple(carried for carried in layer.x.carries for _ in range(pixels))
    return Carried({}, [replace(layer.output(layer.x), kin=kin, carries=carries)])


def _same_op(layer: Layer) -> None:
    if layer.old.op != layer.new.op:
        raise layer.refusal(f"it was {layer.old.op}")


def _same_pixels(layer: Layer) -> None:
    if any(x.step != (1, 1) for x in layer.inputs):
        raise layer.refusal("it reads a convolution without its stride, in front of space_to_depth")


def _expanded(layer: Layer, weight: Tensor, x: Embedding, channels: int, groups: int = 1) -> Tensor:
    """A weight (out, old channels of a group, ...) for the new channels: zeros for those that carry nothing."""
    if x.same_channels:
        return weight
    old_width, new_width = weight.shape[1], channels // groups
    expanded = weight.new_zeros(weight.shape[0], new_width, *weight.shape[2:])
    outputs = weight.shape[0] // groups
    for group in range(groups):
        places = [
            x.places.get(channel, -1) - group * new_width
            for channel in range(group * old_width, (group + 1) * old_width)
        ]
        if not all(0 <= place < new_width for place in places):
            raise layer.refusal(f"its {groups} groups would read other channels than they did")
        rows = slice(group * outputs, (group + 1) * outputs)
        expanded[rows, places] = weight[rows]
    return expanded


def _in_blocks(layer: Layer, op: SpdConv2d, old: Conv2d, weight: Tensor) -> Tensor:
    """The strided kernel's taps, moved to their blocks and phases."""
    if (pair(op.stride), op.windows()) != (pair(old.stride), old.windows()):
        raise layer.refusal(f"it was {old}")
    if not (op.is_exact() or layer.lossy):
        blocks = "x".join(str(axis.kernel) for axis in op.blocks())
        hint = 'take kernel="exact", or ask for a lossy transfer, which drops those taps'
        raise layer.refusal(f"{blocks} blocks have no place for every tap of {old}", hint)
    return PixelKernel.of_window(weight, old.windows()).in_blocks(
        pair(op.stride), phase_order(op.order, op.groups), op.blocks()
    )


def _unstrided(layer: Layer, op: Convolution, old: Conv2d) -> tuple[int, int]:
    """The stride that a convolution has lost."""
    if op != replace(old, stride=1):
        raise layer.refusal(f"it was {old}")
    return pair(old.stride)

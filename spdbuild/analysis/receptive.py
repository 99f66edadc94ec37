"""Which pixels of the input each layer can see: interval arithmetic over the graph, one axis at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import singledispatch

from spdbuild.graph import Graph, Input, Node, Output
from spdbuild.ops.convolution import Convolution, ConvTranspose2d
from spdbuild.ops.merging import Mul
from spdbuild.ops.normalization import GroupNorm, InstanceNorm
from spdbuild.ops.op import Op
from spdbuild.ops.pooling import AdaptivePool, GlobalPool, Pool
from spdbuild.ops.resampling import DepthToSpace, SpaceToDepth, Upsample
from spdbuild.ops.spd import SpdConv2d, SpdPool
from spdbuild.phases import Blocks, Window
from spdbuild.shape import Shape, pair


@dataclass(frozen=True)
class Field:
    """Output i of one axis sees the input pixels start + stride*i up to start + stride*i + size - 1, and no others.

    Pixels before 0 and beyond the image are padding. A stride of 0 means that all outputs see the same.
    """

    start: Fraction = Fraction(0)
    size: Fraction = Fraction(1)
    stride: Fraction = Fraction(1)

    @property
    def end(self) -> Fraction:
        """The pixel after the last one that output 0 sees."""
        return self.start + self.size

    def behind(self, reach: Reach) -> Field:
        """The field of a layer with this reach that reads a layer with this field."""
        start = self.start + self.stride * reach.first
        return Field(start, self.size + self.stride * (reach.last - reach.first), self.stride * reach.stride)


@dataclass(frozen=True)
class Reach:
    """Output i of a layer reads the inputs stride*i + first up to stride*i + last of one axis, at most."""

    first: Fraction | int = 0
    last: Fraction | int = 0
    stride: Fraction | int = 1


#: The fields of rows and columns.
Fields = tuple[Field, Field]


def receptive_fields(graph: Graph) -> dict[str, Fields]:
    """What the first output of each layer sees of the first input, in its pixels; by name of the layer.

    Layers that see the input through several paths see the pixels from the first to the last of any path. What sees
    the whole image has its size, and the stride 0. Gates of one pixel (`mul`) are not counted.
    """
    fields: dict[Output, Fields] = {}
    found: dict[str, Fields] = {}
    whole = _whole(graph)
    for node in graph:
        here = _input_field() if isinstance(node.op, Input) else _field(whole, node, fields)
        fields |= {Output(node.name, index): here for index in range(len(node.shapes))}
        found[node.name] = here
    return found


def _input_field() -> Fields:
    return Field(), Field()


def _field(whole: Fields, node: Node, fields: Mapping[Output, Fields]) -> Fields:
    read = [fields[output] for output in node.inputs]
    if isinstance(node.op, Mul):
        read = _without_gates(node, read)
    reaches = reach(node.op, node.input_shapes[0])
    if reaches is None or len(node.input_shapes[0]) < 3:
        return whole
    rows, columns = (_joined([field[axis].behind(reaches[axis]) for field in read], whole[axis]) for axis in (0, 1))
    return rows, columns


def _without_gates(node: Node, read: list[Fields]) -> list[Fields]:
    """The fields of a product's inputs except those of one pixel, which weigh whole channels."""
    if node.shape.pixels > 1:
        return [fields for fields, shape in zip(read, node.input_shapes, strict=True) if shape.pixels > 1]
    # Where the image is one pixel as well, the gate is known by seeing all of the input.
    return [fields for fields in read if any(axis.stride for axis in fields)] or read


def _joined(paths: Sequence[Field], whole: Field) -> Field:
    """What is seen through any of the paths; the whole axis where their strides differ."""
    if len({path.stride for path in paths}) > 1:
        return whole
    start = min(path.start for path in paths)
    return Field(start, max(path.end for path in paths) - start, paths[0].stride)


def _whole(graph: Graph) -> Fields:
    shape = graph.inputs[0].shape
    height, width = shape[1:3] if len(shape) == 3 else (1, 1)
    return Field(Fraction(0), Fraction(height), Fraction(0)), Field(Fraction(0), Fraction(width), Fraction(0))


@singledispatch
def reach(op: Op, x: Shape) -> tuple[Reach, Reach] | None:
    """What an op reads of rows and columns; None: all of them."""
    by_pixel = ("activation", "normalization", "regularization", "merging", "detection")
    return (Reach(), Reach()) if op.family in by_pixel else None


@reach.register(GroupNorm)
@reach.register(InstanceNorm)
@reach.register(GlobalPool)
def _everything(op: Op, x: Shape) -> None:
    return None


@reach.register(Convolution)
@reach.register(Pool)
def _window(op: Convolution | Pool, x: Shape) -> tuple[Reach, Reach]:
    rows, columns = op.windows()
    return _of_window(rows), _of_window(columns)


@reach.register(SpdConv2d)
@reach.register(SpdPool)
def _blocks(op: SpdConv2d | SpdPool, x: Shape) -> tuple[Reach, Reach]:
    (rows, columns), (height, width) = op.blocks(), pair(op.stride)
    return (_of_blocks(rows, height), _of_blocks(columns, width)) if (height, width) != (1, 1) else _window(op, x)


@reach.register
def _space_to_depth(op: SpaceToDepth, x: Shape) -> tuple[Reach, Reach]:
    height, width = pair(op.block)
    return Reach(0, height - 1, height), Reach(0, width - 1, width)


@reach.register
def _depth_to_space(op: DepthToSpace, x: Shape) -> tuple[Reach, Reach]:
    height, width = pair(op.block)
    return _repeated(height), _repeated(width)


@reach.register
def _transposed(op: ConvTranspose2d, x: Shape) -> tuple[Reach, Reach]:
    """Input i adds to the outputs stride*i + dilation*tap - padding."""
    sizes = zip(*map(pair, (op.kernel, op.stride, op.padding, op.dilation)), strict=True)
    rows, columns = (
        Reach(Fraction(padding - dilation * (kernel - 1), stride), Fraction(padding, stride), Fraction(1, stride))
        for kernel, stride, padding, dilation in sizes
    )
    return rows, columns


@reach.register
def _upsample(op: Upsample, x: Shape) -> tuple[Reach, Reach]:
    height, width = pair(op.factor)
    grow = _repeated if op.mode == "nearest" else _blended
    return grow(height), grow(width)


@reach.register
def _adaptive(op: AdaptivePool, x: Shape) -> tuple[Reach, Reach]:
    height, width = pair(op.size)
    return _shared(x.height, height), _shared(x.width, width)


def _of_window(window: Window) -> Reach:
    return Reach(-window.before, window.dilation * (window.kernel - 1) - window.before, window.stride)


def _of_blocks(blocks: Blocks, block: int) -> Reach:
    return Reach(-block * blocks.before, block * (blocks.after + 1) - 1, block)


def _repeated(factor: int) -> Reach:
    """Output i reads floor(i / factor)."""
    return Reach(Fraction(1 - factor, factor), 0, Fraction(1, factor))


def _blended(factor: int) -> Reach:
    """Output i reads the two neighbours of (i + 1/2)/factor - 1/2."""
    centre = Fraction(1, 2 * factor) - Fraction(1, 2)
    return Reach(0, 0) if factor == 1 else Reach(centre - 1, centre + 1, Fraction(1, factor))


def _shared(size: int, outputs: int) -> Reach:
    """Output i reads floor(i*size / outputs) up to ceil((i + 1)*size / outputs) - 1."""
    step = Fraction(size, outputs)
    slack = 0 if step.denominator == 1 else 1
    return Reach(-slack, step - 1 + slack, step)

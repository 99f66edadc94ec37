"""Ops that merge several tensors into one, or split one into several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError, ShapeError
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Family, Op, same_shape
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import nn


@OPS.register
@dataclass(frozen=True)
class Add(Op):
    """Add tensors of the same shape elementwise.

    Two or more inputs of one shape, output of that shape.

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", arXiv:1512.03385, equation 1.
    """

    family: ClassVar[Family] = "merging"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def shape(self, *inputs: Shape) -> Shape:
        return same_shape("add", inputs)

    def module(self, *inputs: Shape) -> nn.Module:
        from spdbuild.nn.merging import Add

        return Add()

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(4, 5, 6)] * 2, Shape(4, 5, 6))


@OPS.register
@dataclass(frozen=True)
class Mul(Op):
    """Multiply tensors elementwise; a vector or an image of one pixel scales the channels of an image.

    Two or more inputs: (N, C, H, W), and with it (N, C, H, W), (N, C, 1, 1) or (N, C) in any order; or vectors alone.
    The output has the largest of these shapes.

    Source: Hu et al. 2017, "Squeeze-and-Excitation Networks", arXiv:1709.01507, equation 4.
    """

    family: ClassVar[Family] = "merging"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def shape(self, *inputs: Shape) -> Shape:
        output = max(inputs, key=lambda shape: (shape.elements, len(shape)))
        fitting = {output, Shape(output.channels), Shape(output.channels, 1, 1)} if len(output) == 3 else {output}
        misfit = next((shape for shape in inputs if shape not in fitting), None)
        if misfit is not None:
            raise ShapeError(
                f"mul: {misfit} cannot scale {output}; its channels must agree, and its size must agree or be 1x1"
            )
        return output

    def module(self, *inputs: Shape) -> nn.Module:
        from spdbuild.nn.merging import Mul

        return Mul()

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(4, 5, 6), Shape(4, 1, 1)], Shape(4, 5, 6))


@OPS.register
@dataclass(frozen=True)
class Concat(Op):
    """Concatenate tensors along the channels, in the order given.

    Two or more inputs (N, C_i, H, W) of one size, output (N, sum of the C_i, H, W); or (N, C_i) to (N, sum of the C_i).

    Source: Huang et al. 2016, "Densely Connected Convolutional Networks", arXiv:1608.06993, equation 2.
    """

    family: ClassVar[Family] = "merging"
    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def shape(self, *inputs: Shape) -> Shape:
        if len({shape[1:] for shape in inputs}) != 1:
            raise ShapeError(
                f"concat: inputs must have the same height and width, got {' and '.join(map(str, inputs))}"
            )
        return Shape(sum(shape.channels for shape in inputs), *inputs[0][1:])

    def module(self, *inputs: Shape) -> nn.Module:
        from spdbuild.nn.merging import Concat

        return Concat()

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(3, 4, 5), Shape(2, 4, 5)], Shape(5, 4, 5))


@OPS.register
@dataclass(frozen=True)
class Split(Op):
    """Split the channels into consecutive parts.

    Input (N, C, H, W) or (N, C); one output for each part, of the same height and width.

    parts: number of equal parts, which must divide C; or the channels of each part, [64, 192], whose sum must be C.

    Source: as torch.split along the channels.
    """

    family: ClassVar[Family] = "merging"

    parts: int | tuple[int, ...] = 2

    def __post_init__(self) -> None:
        require_range(self, "parts", least=1, most=MAX_ARGUMENT)
        if self.parts == ():
            raise ArgumentError("parts must be at least 1, got an empty list", argument="parts")

    def sizes(self, x: Shape) -> tuple[int, ...]:
        """Channels of each part."""
        if not isinstance(self.parts, int):
            if sum(self.parts) != x.channels:
                raise ShapeError(f"split: parts={list(self.parts)} must add up to {x.channels} channels")
            return self.parts
        if x.channels % self.parts:
            raise ShapeError(f"split: parts={self.parts} must divide the input channels, got {x.channels}")
        return (x.channels // self.parts,) * self.parts

    def shape(self, x: Shape) -> tuple[Shape, ...]:
        return tuple(Shape(size, *x[1:]) for size in self.sizes(x))

    def module(self, x: Shape) -> nn.Module:
        from spdbuild.nn.merging import Split

        return Split(self.sizes(x))

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(6, 4, 5)], (Shape(3, 4, 5), Shape(3, 4, 5)))

"""The ordinary and the transposed convolution."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError, ShapeError
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Family, Op
from spdbuild.phases import Window, windows
from spdbuild.shape import Shape, Sides, Size, pair, sides

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Convolution(Op):
    """The arguments of a convolution, and the strided windows that they define."""

    family: ClassVar[Family] = "convolution"
    weights: ClassVar[bool] = True

    out: int
    kernel: Size = 1
    stride: Size = 1
    padding: Size | Sides | None = None
    dilation: Size = 1
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        require_range(self, "out", "kernel", "stride", "dilation", "groups", least=1, most=MAX_ARGUMENT)
        require_range(self, "padding", least=0, most=MAX_ARGUMENT)

    def paddings(self) -> Sides:
        """Zeros around the image: ((top, bottom), (left, right))."""
        if self.padding is not None:
            return sides(self.padding)
        (height, width), (down, right) = pair(self.kernel), pair(self.dilation)
        return sides((down * (height - 1) // 2, right * (width - 1) // 2))

    def windows(self) -> tuple[Window, Window]:
        """The window of the rows and that of the columns."""
        return windows(self.kernel, self.stride, self.paddings(), self.dilation)

    def weight_shape(self, x: Shape) -> tuple[int, int, int, int]:
        """Sizes of the weight: output channels, input channels of a group, height, width."""
        return self.out, x.channels // self.groups, *pair(self.kernel)

    def shape(self, x: Shape) -> Shape:
        if x.channels % self.groups or self.out % self.groups:
            raise ShapeError(
                f"groups={self.groups} must divide the input channels and out, got {x.channels} and {self.out}"
            )
        rows, columns = self.windows()
        return Shape(self.out, rows.output(x.height), columns.output(x.width))

    def parameters(self, x: Shape) -> int:
        return prod(self.weight_shape(x)) + (self.out if self.bias else 0)

    def macs(self, x: Shape) -> int:
        return self.shape(x).pixels * prod(self.weight_shape(x))


@OPS.register
@dataclass(frozen=True)
class Conv2d(Convolution):
    """Convolve an image with learned kernels.

    Input (N, C, H, W), output (N, out, H', W') with H' = floor((H + top + bottom - dilation*(kernel - 1) - 1) / stride)
    + 1 and W' alike. There is no bias by default, because a norm follows most convolutions.

    out: output channels.
    kernel, stride, dilation: in pixels; one number or [height, width].
    padding: zeros around the image, in pixels: one number, [height, width] or [[top, bottom], [left, right]]; by
        default dilation*(kernel - 1)//2, which keeps the size at stride 1 and an odd kernel.
    groups: parts into which input and output channels are split, each convolved by itself; C makes it depthwise.
    bias: whether a learned number is added to each output channel.

    Source: LeCun et al. 1989, "Backpropagation Applied to Handwritten Zip Code Recognition"; arguments as in
    torch.nn.Conv2d.
    """

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        from spdbuild.nn.convolution import PaddedConv2d

        (top, bottom), (left, right) = self.paddings()
        symmetric = top == bottom and left == right
        return (nn.Conv2d if symmetric else PaddedConv2d)(
            x.channels,
            self.out,
            pair(self.kernel),
            pair(self.stride),
            (top, left) if symmetric else self.paddings(),  # type: ignore[arg-type]
            pair(self.dilation),
            self.groups,
            self.bias,
        )

    @classmethod
    def example(cls) -> Example:
        return Example(cls(16, kernel=3, stride=2), [Shape(8, 9, 12)], Shape(16, 5, 6))


@OPS.register
@dataclass(frozen=True)
class ConvTranspose2d(Op):
    """Enlarge an image with learned kernels: every pixel adds a kernel, scaled by its value, to the output.

    Input (N, C, H, W), output (N, out, H', W') with H' = (H - 1)*stride - 2*padding + dilation*(kernel - 1) +
    output_padding + 1 and W' alike: twice the size with kernel=2, stride=2. It is the gradient of a convolution with
    these arguments.

    out: output channels.
    kernel, stride, dilation: in pixels; one number or [height, width].
    padding: pixels cut off on each side of the output.
    output_padding: rows and columns added at the bottom and the right of the output; less than stride or dilation.
    groups: parts into which input and output channels are split, each convolved by itself.
    bias: whether a learned number is added to each output channel.

    Source: Zeiler et al. 2010, "Deconvolutional Networks"; arguments as in torch.nn.ConvTranspose2d, except for the
    bias, which is off by default here.
    """

    family: ClassVar[Family] = "convolution"
    weights: ClassVar[bool] = True

    out: int
    kernel: Size
    stride: Size = 1
    padding: Size = 0
    output_padding: Size = 0
    dilation: Size = 1
    groups: int = 1
    bias: bool = False

    def __post_init__(self) -> None:
        require_range(self, "out", "kernel", "stride", "dilation", "groups", least=1, most=MAX_ARGUMENT)
        require_range(self, "padding", "output_padding", least=0, most=MAX_ARGUMENT)
        steps = zip(pair(self.output_padding), pair(self.stride), pair(self.dilation), strict=True)
        if any(added >= max(stride, dilation) for added, stride, dilation in steps):
            raise ArgumentError(
                f"output_padding must be less than stride or dilation, got {self.output_padding}",
                argument="output_padding",
            )

    def weight_shape(self, x: Shape) -> tuple[int, int, int, int]:
        """Sizes of the weight: input channels, output channels of a group, height, width."""
        return x.channels, self.out // self.groups, *pair(self.kernel)

    def shape(self, x: Shape) -> Shape:
        if x.channels % self.groups or self.out % self.groups:
            raise ShapeError(
                f"groups={self.groups} must divide the input channels and out, got {x.channels} and {self.out}"
            )
        arguments = zip(
            (x.height, x.width),
            *map(pair, (self.kernel, self.stride, self.padding, self.output_padding, self.dilation)),
            strict=True,
        )
        height, width = (
            (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + added + 1
            for size, kernel, stride, padding, added, dilation in arguments
        )
        if min(height, width) < 1:
            raise ShapeError(f"padding={self.padding} leaves nothing of the output: {height}x{width}")
        return Shape(self.out, height, width)

    def parameters(self, x: Shape) -> int:
        return prod(self.weight_shape(x)) + (self.out if self.bias else 0)

    def macs(self, x: Shape) -> int:
        return x.pixels * prod(self.weight_shape(x))

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.ConvTranspose2d(
            x.channels,
            self.out,
            pair(self.kernel),
            pair(self.stride),
            pair(self.padding),
            pair(self.output_padding),
            self.groups,
            self.bias,
            pair(self.dilation),
        )

    @classmethod
    def example(cls) -> Example:
        return Example(cls(8, kernel=2, stride=2), [Shape(16, 5, 7)], Shape(8, 10, 14))

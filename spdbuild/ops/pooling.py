"""Ops that summarise windows of pixels, or whole images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Family, Op
from spdbuild.phases import Window, windows
from spdbuild.shape import Shape, Size, pair

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Pool(Op):
    """The arguments that all pools share, and the windows that they define."""

    family: ClassVar[Family] = "pooling"

    kernel: Size
    stride: Size = 1
    padding: Size | None = None

    def __post_init__(self) -> None:
        require_range(self, "kernel", "stride", least=1, most=MAX_ARGUMENT)
        require_range(self, "padding", least=0, most=MAX_ARGUMENT)
        (top, left), (height, width) = self.paddings(), pair(self.kernel)
        if 2 * top > height or 2 * left > width:
            raise ArgumentError(
                f"padding must be at most half the kernel, got {top}x{left} for kernel {height}x{width}",
                argument="padding",
            )

    def paddings(self) -> tuple[int, int]:
        """Pixels added above and below, and left and right."""
        height, width = pair(self.kernel)
        return ((height - 1) // 2, (width - 1) // 2) if self.padding is None else pair(self.padding)

    def windows(self) -> tuple[Window, Window]:
        """The window of the rows and that of the columns."""
        raise NotImplementedError

    def shape(self, x: Shape) -> Shape:
        rows, columns = self.windows()
        return Shape(x.channels, rows.output(x.height), columns.output(x.width))


@dataclass(frozen=True)
class MaxPooling(Pool):
    """The arguments of a max pool."""

    dilation: Size = 1
    ceil: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range(self, "dilation", least=1, most=MAX_ARGUMENT)

    def windows(self) -> tuple[Window, Window]:
        return windows(self.kernel, self.stride, self.paddings(), self.dilation, self.ceil)


@dataclass(frozen=True)
class AvgPooling(Pool):
    """The arguments of an average pool."""

    ceil: bool = False
    count_padding: bool = True

    def windows(self) -> tuple[Window, Window]:
        return windows(self.kernel, self.stride, self.paddings(), ceil=self.ceil)


@OPS.register
@dataclass(frozen=True)
class MaxPool(MaxPooling):
    """Take the maximum of each window of pixels.

    Input (N, C, H, W), output (N, C, H', W') with H' = floor((H + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1
    and W' alike. Padding is never the maximum.

    kernel, stride, dilation: in pixels; one number or [height, width]. The stride is 1 unless given.
    padding: pixels on each side, at most half the kernel; by default (kernel - 1)//2.
    ceil: round H' and W' up instead of down.

    Source: Riesenhuber and Poggio 1999, "Hierarchical models of object recognition in cortex"; arguments as in
    torch.nn.MaxPool2d but for the defaults of stride and padding.
    """

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.MaxPool2d(
            pair(self.kernel), pair(self.stride), self.paddings(), pair(self.dilation), ceil_mode=self.ceil
        )

    @classmethod
    def example(cls) -> Example:
        return Example(cls(3, stride=2), [Shape(4, 7, 8)], Shape(4, 4, 4))


@OPS.register
@dataclass(frozen=True)
class AvgPool(AvgPooling):
    """Take the average of each window of pixels.

    Input (N, C, H, W), output (N, C, H', W') with H' = floor((H + 2*padding - kernel) / stride) + 1 and W' alike.

    kernel, stride: in pixels; one number or [height, width]. The stride is 1 unless given.
    padding: zeros on each side, in pixels, at most half the kernel; by default (kernel - 1)//2.
    ceil: round H' and W' up instead of down.
    count_padding: whether the zeros of the padding count in the average; if not, windows at the border average what
        lies in the image.

    Source: LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II; arguments as in
    torch.nn.AvgPool2d but for the defaults of stride and padding.
    """

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.AvgPool2d(pair(self.kernel), pair(self.stride), self.paddings(), self.ceil, self.count_padding)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(2, stride=2), [Shape(4, 6, 8)], Shape(4, 3, 4))


@dataclass(frozen=True)
class GlobalPool(Op):
    """The argument that the pools over the whole image share."""

    family: ClassVar[Family] = "pooling"

    keep_size: bool = False

    def shape(self, x: Shape) -> Shape:
        image = Shape(x.channels, x.height, x.width)
        return Shape(image.channels, 1, 1) if self.keep_size else Shape(image.channels)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(8, 7, 5)], Shape(8))


@OPS.register
@dataclass(frozen=True)
class GlobalAvgPool(GlobalPool):
    """Take the average of each channel over the whole image.

    Input (N, C, H, W), output (N, C), or (N, C, 1, 1) with keep_size.

    keep_size: whether the output is still an image, of one pixel.

    Source: Lin, Chen and Yan 2013, "Network In Network", arXiv:1312.4400, section 3.2.
    """

    def module(self, x: Shape) -> nn.Module:
        from spdbuild.nn.pooling import GlobalAvgPool2d

        return GlobalAvgPool2d(self.keep_size)


@OPS.register
@dataclass(frozen=True)
class GlobalMaxPool(GlobalPool):
    """Take the maximum of each channel over the whole image.

    Input (N, C, H, W), output (N, C), or (N, C, 1, 1) with keep_size.

    keep_size: whether the output is still an image, of one pixel.

    Source: Oquab et al. 2015, "Is object localization for free?", section 3.
    """

    def module(self, x: Shape) -> nn.Module:
        from spdbuild.nn.pooling import GlobalMaxPool2d

        return GlobalMaxPool2d(self.keep_size)


@dataclass(frozen=True)
class AdaptivePool(Op):
    """The argument of the pools whose windows depend on the size of the input."""

    family: ClassVar[Family] = "pooling"

    size: Size

    def __post_init__(self) -> None:
        require_range(self, "size", least=1, most=MAX_ARGUMENT)

    def shape(self, x: Shape) -> Shape:
        image = Shape(x.channels, x.height, x.width)
        return Shape(image.channels, *pair(self.size))

    @classmethod
    def example(cls) -> Example:
        return Example(cls(7), [Shape(4, 9, 14)], Shape(4, 7, 7))


@OPS.register
@dataclass(frozen=True)
class AdaptiveAvgPool(AdaptivePool):
    """Take the average of as many windows as the output has pixels, whatever the size of the input.

    Input (N, C, H, W), output (N, C, height, width). Window i of an axis covers floor(i*H/height) up to
    ceil((i + 1)*H/height).

    size: pixels of the output; one number or [height, width].

    Source: as torch.nn.AdaptiveAvgPool2d.
    """

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.AdaptiveAvgPool2d(pair(self.size))


@OPS.register
@dataclass(frozen=True)
class AdaptiveMaxPool(AdaptivePool):
    """Take the maximum of as many windows as the output has pixels, whatever the size of the input.

    Input (N, C, H, W), output (N, C, height, width). Window i of an axis covers floor(i*H/height) up to
    ceil((i + 1)*H/height).

    size: pixels of the output; one number or [height, width].

    Source: as torch.nn.AdaptiveMaxPool2d.
    """

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.AdaptiveMaxPool2d(pair(self.size))

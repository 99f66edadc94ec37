"""SPD-Conv: ops that replace strided convolutions and pools, with the same arguments and output shapes.

At stride 1 each is the plain op that it is named after.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar

from spdbuild.declaring.ranges import require_range
from spdbuild.ops.convolution import Conv2d, Convolution
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Op
from spdbuild.ops.pooling import AvgPool, AvgPooling, MaxPool, MaxPooling, Pool
from spdbuild.phases import Blocks, Order, SpdKernel, phase_order
from spdbuild.shape import Shape, pair

if TYPE_CHECKING:
    from torch import Tensor, nn


@OPS.register
@dataclass(frozen=True)
class SpdConv2d(Convolution):
    """Convolve without skipping pixels: space_to_depth(stride), then a convolution of stride 1 over the blocks.

    Input (N, C, H, W), output (N, out, H', W') exactly as of conv2d with these arguments, for every H and W. Each
    output sees the stride x stride pixels of each block in the window as C*stride*stride channels: weight (out,
    C*stride*stride/groups, blocks of height, blocks of width). At stride 1 it is conv2d.

    out, kernel, stride, padding, dilation, groups, bias: those of the strided convolution that it replaces.
    spd_kernel: how many blocks high and wide the window is: "exact" is the smallest that can compute the strided
        convolution (3x3 at stride 2: 2x2 blocks), "same" is `kernel` blocks, but "exact" for a kernel of whole blocks
        (6x6 at stride 2: 3x3 blocks), or a number.
    order: how the channels after space_to_depth are ordered, as in space_to_depth; by default SPD-Conv's
        "column_row_channel", or with groups "channel_row_column", which keeps the channels of a group together.

    Source: Sunkara and Luo 2022, "No More Strided Convolutions or Pooling", arXiv:2208.03641, section 3; the exact
    kernel is derived in spdbuild.phases.
    """

    spd_kernel: SpdKernel = "exact"
    order: Order | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.spd_kernel, int):
            require_range(self, "spd_kernel", least=1, most=MAX_ARGUMENT)
        phase_order(self.order, self.groups)

    def strided(self) -> Conv2d:
        """The convolution that this replaces."""
        return Conv2d(self.out, self.kernel, self.stride, self.padding, self.dilation, self.groups, self.bias)

    def blocks(self) -> tuple[Blocks, Blocks]:
        """The windows over blocks of rows and columns."""
        rows, columns = self.windows()
        return rows.blocks(self.spd_kernel), columns.blocks(self.spd_kernel)

    def is_exact(self) -> bool:
        """Whether some weights make this exactly the same function as the strided convolution."""
        pairs = zip(self.blocks(), self.windows(), strict=True)
        return _is_plain(self) or all(blocks.covers(window.exact_blocks()) for blocks, window in pairs)

    def weight_shape(self, x: Shape) -> tuple[int, int, int, int]:
        if _is_plain(self):
            return super().weight_shape(x)
        rows, columns = self.blocks()
        return self.out, x.channels * prod(pair(self.stride)) // self.groups, rows.kernel, columns.kernel

    def simplified(self, x: Shape) -> Op | None:
        return self.strided() if _is_plain(self) else self

    def module(self, x: Shape) -> nn.Module:
        if _is_plain(self):
            return self.strided().module(x)
        from spdbuild.nn.spd import SpdConv2d

        return SpdConv2d(
            x.channels,
            self.out,
            self.kernel,
            self.stride,
            self.paddings(),
            self.dilation,
            self.groups,
            self.bias,
            spd_kernel=self.spd_kernel,
            order=self.order,
        )

    @classmethod
    def example(cls) -> Example:
        return Example(cls(16, kernel=3, stride=2), [Shape(8, 9, 12)], Shape(16, 5, 6))


@dataclass(frozen=True)
class SpdPool(Pool):
    """What the two pool replacements share: a dense convolution over blocks, or the pool itself at stride 1."""

    weights: ClassVar[bool] = True

    def strided(self) -> Pool:
        """The pool that this replaces."""
        raise NotImplementedError

    def blocks(self) -> tuple[Blocks, Blocks]:
        """The windows over blocks of rows and columns."""
        raise NotImplementedError

    def initial_weight(self, x: Shape) -> Tensor:
        """The initial weight, in float64."""
        module = self.module(x).double()
        module.reset_parameters()  # type: ignore[operator]
        weight: Tensor = module.state_dict()["weight"]
        return weight

    def simplified(self, x: Shape) -> Op | None:
        return self.strided() if _is_plain(self) else self

    def parameters(self, x: Shape) -> int:
        if _is_plain(self):
            return 0
        rows, columns = self.blocks()
        return x.channels**2 * prod(pair(self.stride)) * rows.kernel * columns.kernel

    def macs(self, x: Shape) -> int:
        return self.shape(x).pixels * self.parameters(x)


@OPS.register
@dataclass(frozen=True)
class SpdMaxPool(SpdPool, MaxPooling):
    """Shrink an image without dropping pixels: space_to_depth(stride), then a learned 1x1 convolution.

    Input (N, C, H, W), output (N, C, H', W') exactly as of max_pool with these arguments, for every H and W. A
    convolution cannot compute a maximum, so it starts as the mean of each block of stride x stride pixels; its weight
    (C, C*stride*stride, 1, 1) can learn to do better. At stride 1 it is max_pool.

    kernel, stride, padding, dilation, ceil: those of the max pool that it replaces.

    Source: Sunkara and Luo 2022, "No More Strided Convolutions or Pooling", arXiv:2208.03641, section 3.
    """

    def strided(self) -> MaxPool:
        return MaxPool(self.kernel, self.stride, self.padding, self.dilation, self.ceil)

    def blocks(self) -> tuple[Blocks, Blocks]:
        rows, columns = self.windows()
        return rows.blocks(1), columns.blocks(1)

    def is_exact(self) -> bool:
        """Whether this is exactly the same function as the pool: only at stride 1."""
        return _is_plain(self)

    def module(self, x: Shape) -> nn.Module:
        if _is_plain(self):
            return self.strided().module(x)
        from spdbuild.nn.spd import SpdMaxPool2d

        return SpdMaxPool2d(x.channels, self.kernel, self.stride, self.paddings(), self.dilation, self.ceil)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(3, stride=2), [Shape(4, 7, 8)], Shape(4, 4, 4))


@OPS.register
@dataclass(frozen=True)
class SpdAvgPool(SpdPool, AvgPooling):
    """Average windows with learned weights: space_to_depth(stride), then a convolution that starts as the average.

    Input (N, C, H, W), output (N, C, H', W') exactly as of avg_pool with these arguments, for every H and W. The weight
    (C, C*stride*stride, blocks of height, blocks of width) has the smallest kernel that holds the window, and starts as
    exactly the average. With count_padding=false, and with ceil=true where a window reaches beyond the padding, the
    pool divides by fewer pixels at the border than this does. At stride 1 it is avg_pool.

    kernel, stride, padding, ceil, count_padding: those of the average pool that it replaces.

    Source: Sunkara and Luo 2022, "No More Strided Convolutions or Pooling", arXiv:2208.03641, section 3; the kernel is
    derived in spdbuild.phases.
    """

    def strided(self) -> AvgPool:
        return AvgPool(self.kernel, self.stride, self.padding, self.ceil, self.count_padding)

    def blocks(self) -> tuple[Blocks, Blocks]:
        rows, columns = self.windows()
        return rows.exact_blocks(), columns.exact_blocks()

    def is_exact(self) -> bool:
        """Whether this starts as exactly the same function as the pool, at the border and for every image size."""
        return _is_plain(self) or (not self.ceil and (self.count_padding or self.paddings() == (0, 0)))

    def module(self, x: Shape) -> nn.Module:
        if _is_plain(self):
            return self.strided().module(x)
        from spdbuild.nn.spd import SpdAvgPool2d

        return SpdAvgPool2d(x.channels, self.kernel, self.stride, self.paddings(), self.ceil)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(2, stride=2), [Shape(4, 6, 8)], Shape(4, 3, 4))


def _is_plain(op: Convolution | Pool) -> bool:
    return pair(op.stride) == (1, 1)

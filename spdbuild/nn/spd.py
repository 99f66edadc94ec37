"""SPD-Conv: space-to-depth and a stride-1 convolution in the place of a strided convolution or pool."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spdbuild.nn.resampling import space_to_depth
from spdbuild.phases import Blocks, Order, SpdKernel, Window, phase_axes, phase_order, windows
from spdbuild.shape import Sides, Size


class BlockConv2d(nn.Conv2d):
    """A stride-1 convolution over blocks of pixels that gives as many outputs as the strided windows it stands for.

    Input (N, in_channels, H, W), output (N, out_channels, H', W') of the strided windows, for every H and W; weight
    (out_channels, in_channels*h*w/groups, kernel height, kernel width) for blocks of h x w pixels.

    windows: the strided windows of rows and columns.
    blocks: the stride-1 windows over blocks that stand for them.
    order: how the channels behind space-to-depth are counted.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        windows: tuple[Window, Window],
        blocks: tuple[Blocks, Blocks],
        order: Order,
        groups: int = 1,
        bias: bool = True,
        **factory: Any,
    ) -> None:
        # reset_parameters, which the base class calls, may read these.
        self.windows, self.blocks, self.order = windows, blocks, order
        self.block = (windows[0].stride, windows[1].stride)
        depth = in_channels * self.block[0] * self.block[1]
        kernel = (blocks[0].kernel, blocks[1].kernel)
        super().__init__(depth, out_channels, kernel, groups=groups, bias=bias, **factory)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(space_to_depth(self.padded(x), self.block, self.order))

    def padded(self, x: Tensor) -> Tensor:
        """The image with zeros around it, or cropped, so that the blocks fit it without padding."""
        vertical = self.windows[0].pixel_padding(x.shape[2], self.blocks[0])
        horizontal = self.windows[1].pixel_padding(x.shape[3], self.blocks[1])
        padding = (*horizontal, *vertical)
        # Whether a symbolic number is zero must not be asked: the answer would hold for some sizes alone.
        needed = any(not isinstance(side, int) or side for side in padding)
        return F.pad(x, padding) if needed else x

    def extra_repr(self) -> str:
        before = tuple(blocks.before for blocks in self.blocks)
        plain = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{plain}, block={self.block}, before={before}, order={self.order!r}"


class SpdConv2d(BlockConv2d):
    """Takes the place of a strided torch.nn.Conv2d: the same arguments, the same output shape for every input size.

    spd_kernel: kernel of the stride-1 convolution, in blocks of stride x stride pixels: "exact" is the smallest that
        can hold the strided convolution, "same" is as many blocks as the strided one has pixels, or a number.
    order: how the channels behind space-to-depth are counted, the slowest first; by default SPD-Conv's order, with
        groups that of torch.nn.PixelUnshuffle, the only one in which a group keeps its channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | Sides = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        spd_kernel: SpdKernel = "exact",
        order: Order | None = None,
        **factory: Any,
    ) -> None:
        strided = windows(kernel_size, stride, padding, dilation)
        blocks = strided[0].blocks(spd_kernel), strided[1].blocks(spd_kernel)
        order = phase_order(order, groups)
        super().__init__(in_channels, out_channels, strided, blocks, order, groups, bias, **factory)


class SpdPool2d(BlockConv2d):
    """A dense convolution without bias that takes the place of a strided pool and begins as an average.

    Input (N, channels, H, W), output (N, channels, H', W') of the pool, for every H and W.
    """

    def __init__(self, channels: int, windows: tuple[Window, Window], blocks: tuple[Blocks, Blocks]) -> None:
        super().__init__(channels, channels, windows, blocks, "column_row_channel", bias=False)

    def reset_parameters(self) -> None:
        """Let each output average its own channel, with the shares of `axis_shares` in each direction."""
        rows, columns = map(self.axis_shares, self.windows, self.blocks)
        own = torch.eye(self.out_channels, dtype=torch.float64)
        shares = torch.einsum("oc,pi,qj->ocpqij", own, rows, columns)  # p q row and column phase, i j block
        axes = phase_axes(self.order, channel=1, row=2, column=3)
        with torch.no_grad():
            self.weight.copy_(shares.permute(0, *axes, 4, 5).reshape(self.weight.shape))

    def axis_shares(self, window: Window, blocks: Blocks) -> Tensor:
        """The share of each phase of each block of one axis, (phases, blocks); they add up to 1."""
        raise NotImplementedError


class SpdAvgPool2d(SpdPool2d):
    """Takes the place of a strided torch.nn.AvgPool2d: begins as the average of its window, zeros included."""

    def __init__(
        self, channels: int, kernel_size: Size, stride: Size, padding: Size = 0, ceil_mode: bool = False
    ) -> None:
        strided = windows(kernel_size, stride, padding, ceil=ceil_mode)
        super().__init__(channels, strided, (strided[0].exact_blocks(), strided[1].exact_blocks()))

    def axis_shares(self, window: Window, blocks: Blocks) -> Tensor:
        shares = torch.zeros(window.stride, blocks.kernel, dtype=torch.float64)
        for block, phase in window.taps():
            shares[phase, blocks.before + block] += 1 / window.kernel
        return shares


class SpdMaxPool2d(SpdPool2d):
    """Takes the place of a strided torch.nn.MaxPool2d: a 1x1 convolution that begins as the mean of its block.

    A convolution cannot take the greatest of several numbers; what it should put out is for training to find.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        strided = windows(kernel_size, stride, padding, dilation, ceil_mode)
        super().__init__(channels, strided, (strided[0].blocks(1), strided[1].blocks(1)))

    def axis_shares(self, window: Window, blocks: Blocks) -> Tensor:
        return torch.full((window.stride, blocks.kernel), 1 / window.stride, dtype=torch.float64)

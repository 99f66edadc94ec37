"""SPD-Conv: space-to-depth and a stride-1 convolution in place of a strided convolution or pool."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from spdbuild.errors import ArgumentError
from spdbuild.nn.resampling import space_to_depth
from spdbuild.phases import Blocks, Order, SpdKernel, Window, phase_axes, phase_order, windows
from spdbuild.shape import Sides, Size, pair


@fx.wrap  # To torch.fx it is one operation: how much it pads depends on the size of the image.
def padded_blocks(x: Tensor, windows: tuple[Window, Window], blocks: tuple[Blocks, Blocks], order: Order) -> Tensor:
    """Blocks of pixels as channels: (N, C, H, W) -> (N, C*h*w, rows, columns), for a convolution that does not pad.

    The image is zero-padded or cropped so that `blocks` fit it where `windows` lie.
    """
    vertical = windows[0].pixel_padding(x.shape[2], blocks[0])
    horizontal = windows[1].pixel_padding(x.shape[3], blocks[1])
    padding = (*horizontal, *vertical)
    # A symbolic number must not be tested for zero: the answer would hold only for some sizes.
    needed = any(not isinstance(side, int) or side for side in padding)
    return space_to_depth(F.pad(x, padding) if needed else x, (windows[0].stride, windows[1].stride), order)


class BlockConv2d(nn.Conv2d):
    """A stride-1 convolution over blocks of pixels that gives as many outputs as the strided windows it replaces.

    Input (N, in_channels, H, W), output (N, out_channels, H', W') of the strided windows, for every H and W; weight
    (out_channels, in_channels*h*w/groups, kernel height, kernel width) for blocks of h x w pixels.

    windows: the strided windows of rows and columns.
    blocks: the stride-1 windows over blocks that replace them.
    order: order of the channels after space-to-depth.
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
        blocks = padded_blocks(x, self.windows, self.blocks, self.order)
        output: Tensor = self._conv_forward(blocks, self.weight, self.bias)
        return output

    def extra_repr(self) -> str:
        before = tuple(blocks.before for blocks in self.blocks)
        plain = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{plain}, block={self.block}, before={before}, order={self.order!r}"


class SpdConv2d(BlockConv2d):
    """Drop-in replacement for a strided torch.nn.Conv2d: same arguments, same output shape for every input size.

    padding: as in torch.nn.Conv2d, or ((top, bottom), (left, right)). padding_mode: only "zeros".
    spd_kernel: kernel of the stride-1 convolution, in blocks of stride x stride pixels: "exact" is the smallest that
        can hold the strided convolution, "same" is as many blocks as the strided one has pixels, but "exact" where
        these are whole blocks, or a number.
    order: order of the channels after space-to-depth, the slowest axis first; by default SPD-Conv's order, and with
        groups that of torch.nn.PixelUnshuffle, the only one in which a group keeps its channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | Sides | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        spd_kernel: SpdKernel = "exact",
        order: Order | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ArgumentError(f"padding_mode must be 'zeros', got '{padding_mode}'", argument="padding_mode")
        strided = windows(kernel_size, stride, _zeros(padding, kernel_size, stride, dilation), dilation)
        blocks = strided[0].blocks(spd_kernel), strided[1].blocks(spd_kernel)
        order = phase_order(order, groups)
        super().__init__(in_channels, out_channels, strided, blocks, order, groups, bias, device=device, dtype=dtype)


class SameSpdConv2d(SpdConv2d):
    """Replaces a strided convolution whose padding depends on the size of the image, as TensorFlow's "SAME" does.

    Input (N, C, H, W), output (N, out, ceil(H/stride), ceil(W/stride)).
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(padded_same(x, self.windows))


@fx.wrap
def padded_same(x: Tensor, windows: tuple[Window, Window]) -> Tensor:
    """The image with as many zeros around it as `windows` need to begin at every multiple of their stride.

    If the number of zeros of an axis is odd, one more is added after than before.
    """
    sides: list[Any] = []
    for size, window in zip(x.shape[:1:-1], windows[::-1], strict=True):
        reach = (-(-size // window.stride) - 1) * window.stride + window.dilation * (window.kernel - 1) + 1
        missing = reach - size
        # torch 2.11 compiles no sym_max of plain numbers, and max of symbolic ones would hold only for some sizes.
        zeros = max(missing, 0) if isinstance(missing, int) else torch.sym_max(missing, 0)
        sides += [zeros // 2, zeros - zeros // 2]
    return F.pad(x, sides)


def _zeros(padding: Size | Sides | str, kernel: Size, stride: Size, dilation: Size) -> Size | Sides:
    """The zeros around an image that torch's "valid" and "same" stand for; ArgumentError for any other text."""
    if not isinstance(padding, str):
        return padding
    if padding == "valid":
        return 0
    if padding != "same" or pair(stride) != (1, 1):
        hint = "give the zeros on each side as a number" if padding == "same" else "'valid' and 'same' are known"
        raise ArgumentError(f"padding cannot be '{padding}' with stride={stride}", argument="padding", hint=hint)
    rows, columns = (gap * (size - 1) for size, gap in zip(pair(kernel), pair(dilation), strict=True))
    # As in torch, the odd one comes after.
    return (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)


class SpdPool2d(BlockConv2d):
    """A dense convolution without bias that replaces a strided pool and begins as an average.

    Input (N, channels, H, W), output (N, channels, H', W') of the pool, for every H and W.
    """

    def __init__(
        self, channels: int, windows: tuple[Window, Window], blocks: tuple[Blocks, Blocks], **factory: Any
    ) -> None:
        super().__init__(channels, channels, windows, blocks, "column_row_channel", bias=False, **factory)

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
    """Replaces a strided torch.nn.AvgPool2d: begins as the average of its window, zeros included."""

    def __init__(
        self,
        channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size = 0,
        ceil_mode: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        strided = windows(kernel_size, stride, padding, ceil=ceil_mode)
        blocks = strided[0].exact_blocks(), strided[1].exact_blocks()
        super().__init__(channels, strided, blocks, device=device, dtype=dtype)

    def axis_shares(self, window: Window, blocks: Blocks) -> Tensor:
        shares = torch.zeros(window.stride, blocks.kernel, dtype=torch.float64)
        for block, phase in window.taps():
            shares[phase, blocks.before + block] += 1 / window.kernel
        return shares


class SpdMaxPool2d(SpdPool2d):
    """Replaces a strided torch.nn.MaxPool2d: a 1x1 convolution that begins as the mean of its block.

    A convolution cannot compute a maximum; training has to find what it should output instead.
    """

    def __init__(
        self,
        channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        *,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        strided = windows(kernel_size, stride, padding, dilation, ceil_mode)
        blocks = strided[0].blocks(1), strided[1].blocks(1)
        super().__init__(channels, strided, blocks, device=device, dtype=dtype)

    def axis_shares(self, window: Window, blocks: Blocks) -> Tensor:
        return torch.full((window.stride, blocks.kernel), 1 / window.stride, dtype=torch.float64)

"""Pixels into channels and back. Both directions are one reshape, one permute and one copy, in every order.

For a channels_last tensor, a view with the channels last is reshaped, so that its gradient is channels_last, too. A
gradient in another format would make the layers before it several times slower.

Letters: N batch, C channels, i j position of a block, h w size of a block.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spdbuild.errors import ShapeError
from spdbuild.phases import Order, phase_axes
from spdbuild.shape import Size, pair


class SpaceToDepth(nn.Module):
    """Move each block of pixels into channels: (N, C, H, W) -> (N, C*h*w, H/h, W/w).

    block: size of a block in pixels; one number or (height, width).
    order: order of the output channels, the slowest axis first; the default is SPD-Conv's order, and
        "channel_row_column" that of torch.nn.PixelUnshuffle.
    odd: "pad" adds zeros at the right and bottom up to a multiple of the block, "error" raises ShapeError.
    """

    def __init__(
        self, block: Size = 2, order: Order = "column_row_channel", odd: Literal["pad", "error"] = "pad"
    ) -> None:
        super().__init__()
        self.block = pair(block)
        self.order: Order = order
        self.odd = odd

    def forward(self, x: Tensor) -> Tensor:
        missing = (-x.shape[2] % self.block[0], -x.shape[3] % self.block[1])
        if any(missing):
            if self.odd == "error":
                raise ShapeError(f"height and width must be multiples of {self.block}, got {tuple(x.shape[2:])}")
            x = F.pad(x, (0, missing[1], 0, missing[0]))
        return space_to_depth(x, self.block, self.order)

    def extra_repr(self) -> str:
        return f"block={self.block}, order={self.order!r}, odd={self.odd!r}"


class DepthToSpace(nn.Module):
    """Move channels into blocks of pixels: (N, C, H, W) -> (N, C/(h*w), H*h, W*w); the inverse of SpaceToDepth.

    block: size of a block in pixels; one number or (height, width).
    order: order of the input channels, the slowest axis first.
    """

    def __init__(self, block: Size = 2, order: Order = "column_row_channel") -> None:
        super().__init__()
        self.block = pair(block)
        self.order: Order = order

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(x, self.block, self.order)

    def extra_repr(self) -> str:
        return f"block={self.block}, order={self.order!r}"


def space_to_depth(x: Tensor, block: tuple[int, int], order: Order) -> Tensor:
    """(N, C, i*h, j*w) -> (N, C*h*w, i, j); a channels_last tensor stays one."""
    (batch, channels, height, width), (h, w) = x.shape, block
    if isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt):
        return _unfolded(x, block, order)
    i, j, depth = height // h, width // w, channels * h * w
    if _is_channels_last(x):
        patches = x.permute(0, 2, 3, 1).reshape(batch, i, h, j, w, channels)
        inner = phase_axes(order, channel=5, row=2, column=4)
        return patches.permute(0, 1, 3, *inner).reshape(batch, i, j, depth).permute(0, 3, 1, 2)
    patches = x.reshape(batch, channels, i, h, j, w)
    inner = phase_axes(order, channel=1, row=3, column=5)
    return patches.permute(0, *inner, 2, 4).reshape(batch, depth, i, j)


def depth_to_space(x: Tensor, block: tuple[int, int], order: Order) -> Tensor:
    """(N, C*h*w, i, j) -> (N, C, i*h, j*w); a channels_last tensor stays one."""
    (batch, depth, i, j), (h, w) = x.shape, block
    channels = depth // (h * w)
    sizes = {"channel": channels, "row": h, "column": w}
    names = order.split("_")
    if _is_channels_last(x):
        channel, row, column = (3 + names.index(name) for name in sizes)
        patches = x.permute(0, 2, 3, 1).reshape(batch, i, j, *[sizes[name] for name in names])
        pixels = patches.permute(0, 1, row, 2, column, channel).reshape(batch, i * h, j * w, channels)
        return pixels.permute(0, 3, 1, 2)
    channel, row, column = (1 + names.index(name) for name in sizes)
    patches = x.reshape(batch, *[sizes[name] for name in names], i, j)
    return patches.permute(0, channel, 4, row, 5, column).reshape(batch, channels, i * h, j * w)


def _unfolded(x: Tensor, block: tuple[int, int], order: Order) -> Tensor:
    """space_to_depth for sizes that torch.export leaves open.

    A reshape to i and j would assert that they divide the sizes, which is more than torch can prove of a padded image.
    Unfolding asserts nothing, but its gradient is slow.
    """
    (batch, channels), (h, w) = x.shape[:2], block
    patches = x.unfold(2, h, h).unfold(3, w, w)  # [N, C, i, j, h, w]
    i, j, depth = patches.shape[2], patches.shape[3], channels * h * w
    inner = phase_axes(order, channel=1, row=4, column=5)
    stride = x.stride(1)
    # Unlike is_contiguous, which torch 2.11 cannot prove of a padded image, the stride of its channels is a number.
    if channels > 1 and isinstance(stride, int) and stride == 1:
        return patches.permute(0, 2, 3, *inner).reshape(batch, i, j, depth).permute(0, 3, 1, 2)
    return patches.permute(0, *inner, 2, 3).reshape(batch, depth, i, j)


def _is_channels_last(x: Tensor) -> bool:
    if x.is_contiguous():
        return False
    try:
        return x.is_contiguous(memory_format=torch.channels_last)
    except RuntimeError:
        # torch.vmap answers this for the default format alone.
        return False

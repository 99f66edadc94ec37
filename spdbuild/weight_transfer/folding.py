"""The strided convolution that equals space-to-depth and a convolution together: its arguments and its weight.

The phases of a block are pixels, so a kernel over K blocks of s pixels is one over s*K pixels, at the same place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.resampling import SpaceToDepth
from spdbuild.ops.spd import SpdConv2d, SpdPool
from spdbuild.phases import Blocks, Window, phase_axes, phase_order
from spdbuild.shape import Shape, Size, pair
from spdbuild.weight_transfer.kernel import PixelKernel, smallest_window

if TYPE_CHECKING:
    from torch import Tensor


def conv2d_of(windows: Iterable[Window], x: Shape, out: int, groups: int = 1, bias: bool = False) -> Conv2d:
    """The convolution of an image `x` with these windows, its arguments in their shortest form.

    Padding that differs between the sides costs a copy of the image, so it is evened out if that keeps the number of
    outputs, for the size of `x` and all sizes that leave the same remainder when divided by the stride.
    """
    rows, columns = _evened(tuple(windows), (x.height, x.width))
    kernel, stride, dilation = (
        _short(getattr(rows, name), getattr(columns, name)) for name in ("kernel", "stride", "dilation")
    )
    plain = Conv2d(out, kernel, stride, None, dilation, groups, bias)
    sides = (rows.before, rows.after), (columns.before, columns.after)
    if plain.paddings() == sides:
        return plain
    symmetric = rows.before == rows.after and columns.before == columns.after
    return replace(plain, padding=_short(rows.before, columns.before) if symmetric else sides)


def folded_spd(op: SpdConv2d | SpdPool, x: Shape) -> Conv2d:
    """The convolution that computes the same as `op` for an image `x`."""
    sizes = x.height, x.width
    windows = [
        smallest_window(_pixels(blocks, like.stride), _floor(like, size))
        for blocks, like, size in zip(op.blocks(), op.windows(), sizes, strict=True)
    ]
    if isinstance(op, SpdConv2d):
        return conv2d_of(windows, x, op.out, op.groups, op.bias)
    return conv2d_of(windows, x, x.channels)


def fold_blocks(weight: Tensor, op: SpdConv2d | SpdPool, folded: Conv2d) -> Tensor:
    """The weight of `op`, rearranged for `folded`."""
    order = phase_order(op.order, op.groups) if isinstance(op, SpdConv2d) else "column_row_channel"
    rows, columns = (Window(blocks.kernel, before=blocks.before) for blocks in op.blocks())
    return PixelKernel.of_blocks(weight, pair(op.stride), order, (rows, columns)).in_window(folded.windows())


def folded_reader(op: SpaceToDepth, conv: Conv2d, x: Shape) -> Conv2d:
    """The convolution that computes from `x`, the input of `op`, what `conv` computes after `op`."""
    windows = [
        _over_pixels(window, block, size % block != 0)
        for window, block, size in zip(conv.windows(), pair(op.block), (x.height, x.width), strict=True)
    ]
    return conv2d_of(windows, x, conv.out, conv.groups, conv.bias)


def fold_reader(weight: Tensor, op: SpaceToDepth, conv: Conv2d, folded: Conv2d) -> Tensor:
    """The weight of `conv`, rearranged for `folded`."""
    return PixelKernel.of_blocks(weight, pair(op.block), op.order, conv.windows()).in_window(folded.windows())


def folded_producer(op: SpaceToDepth, conv: Conv2d, x: Shape) -> Conv2d:
    """The convolution that computes from `x` what `conv`, of stride 1, and `op` after it do, if `op` need not pad."""
    (height, width), (rows, columns) = pair(op.block), conv.windows()
    windows = _with_phases(rows, height), _with_phases(columns, width)
    return conv2d_of(windows, x, conv.out * height * width, conv.groups, conv.bias)


def fold_producer(tensor: Tensor, op: SpaceToDepth, conv: Conv2d, folded: Conv2d) -> Tensor:
    """The weight or bias of `conv` for `folded`: once for each phase, with the kernel at the phase's place."""
    height, width = pair(op.block)
    phases = tensor.new_zeros(len(tensor), height, width, *_kernel_of(tensor, folded))
    for y in range(height):
        for x in range(width):
            phases[:, y, x] = tensor if tensor.dim() == 1 else _at_phase(tensor, (y, x), conv, folded)
    return phases.permute(*phase_axes(op.order, channel=0, row=1, column=2), *range(3, phases.dim())).flatten(0, 2)


def _kernel_of(tensor: Tensor, folded: Conv2d) -> tuple[int, ...]:
    """Shape of the kernel of each output channel; empty for a bias."""
    return () if tensor.dim() == 1 else (tensor.shape[1], *pair(folded.kernel))


def _at_phase(weight: Tensor, phase: tuple[int, int], conv: Conv2d, folded: Conv2d) -> Tensor:
    pixels = PixelKernel.of_window(weight, conv.windows())
    first = pixels.first[0] + phase[0], pixels.first[1] + phase[1]
    return replace(pixels, first=first).in_window(folded.windows())


def _pixels(blocks: Blocks, block: int) -> range:
    """The pixels of a window over blocks, counted from the output's own."""
    return range(-block * blocks.before, block * (blocks.after + 1))


def _over_pixels(window: Window, block: int, odd: bool) -> Window:
    """A window over blocks as one over pixels; `odd`: the last block may be incomplete, with zeros for the rest."""
    span = window.dilation * (window.kernel - 1) + 1
    after = block * window.after + (block - 1 if odd else 0)
    return Window(block * span, block * window.stride, block * window.before, after)


def _with_phases(window: Window, block: int) -> Window:
    """The window that reads what `block` neighbouring positions of a window of stride 1 read."""
    span = window.dilation * (window.kernel - 1) + block
    return Window(span, block, window.before, window.after)


def _floor(window: Window, size: int) -> Window:
    """The window without `ceil`, with the padding that gives as many outputs for an axis of `size` pixels."""
    if not window.ceil:
        return window
    span = window.dilation * (window.kernel - 1) + 1
    reach = window.stride * (window.output(size) - 1) + span - window.before
    return replace(window, after=max(reach - size, 0), ceil=False)


def _evened(windows: tuple[Window, ...], sizes: tuple[int, int]) -> tuple[Window, ...]:
    """The windows with equal padding before and after, if both axes then have the same number of outputs."""
    even = tuple(replace(window, after=window.before) for window in windows)
    same = all(_steps(a, size) == _steps(b, size) for a, b, size in zip(even, windows, sizes, strict=True))
    return even if same else windows


def _steps(window: Window, size: int) -> int:
    """Positions of the window after the first; negative if it does not fit at all."""
    span = window.dilation * (window.kernel - 1) + 1
    return (size + window.before + window.after - span) // window.stride


def _short(height: int, width: int) -> Size:
    return height if height == width else (height, width)

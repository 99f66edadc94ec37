"""One convolution in its two forms: strided over pixels, or of stride 1 over the blocks of space_to_depth.

Both are converted by way of a kernel that has every pixel of its reach written out. Weights are only moved, never
computed with, so that a round trip gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

from spdbuild.phases import Blocks, Order, Window, phase_axes

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class PixelKernel:
    """A convolution's weight by pixel; pixels between the taps have zeros.

    weight: (out, channels of a group, rows, columns).
    first: row and column of weight[..., 0, 0], counted from the pixel stride*i of output i.
    """

    weight: Tensor
    first: tuple[int, int]

    @classmethod
    def of_window(cls, weight: Tensor, windows: tuple[Window, Window]) -> PixelKernel:
        """From the weight (out, channels, k, l) of a convolution with these windows over pixels."""
        rows, columns = windows
        pixels = weight.new_zeros(*weight.shape[:2], _span(rows), _span(columns))
        pixels[:, :, :: rows.dilation, :: columns.dilation] = weight
        return cls(pixels, (-rows.before, -columns.before))

    @classmethod
    def of_blocks(
        cls, weight: Tensor, block: tuple[int, int], order: Order, windows: tuple[Window, Window]
    ) -> PixelKernel:
        """From the weight (out, channels*h*w, k, l) of a convolution over blocks of h x w pixels.

        windows: over blocks; their stride does not matter here.
        """
        (h, w), (rows, columns) = block, windows
        out, depth = weight.shape[:2]
        channels = depth // (h * w)
        split = weight.reshape(out, *phase_axes(order, channel=channels, row=h, column=w), *weight.shape[2:])
        places = dict(zip(phase_axes(order, channel=0, row=1, column=2), (1, 2, 3), strict=True))
        pixels = weight.new_zeros(out, channels, _span(rows), h, _span(columns), w)
        pixels[:, :, :: rows.dilation, :, :: columns.dilation] = split.permute(0, places[0], 4, places[1], 5, places[2])
        flat = pixels.reshape(out, channels, _span(rows) * h, _span(columns) * w)
        return cls(flat, (-h * rows.before, -w * columns.before))

    def in_window(self, windows: tuple[Window, Window]) -> Tensor:
        """The weight of a convolution with these windows over pixels; taps that they do not read are dropped."""
        rows, columns = windows
        pixels = self._resized((-rows.before, _span(rows)), (-columns.before, _span(columns)))
        return pixels[:, :, :: rows.dilation, :: columns.dilation].clone()

    def in_blocks(self, block: tuple[int, int], order: Order, blocks: tuple[Blocks, Blocks]) -> Tensor:
        """The weight (out, channels*h*w, k, l) over blocks of h x w pixels; taps outside of them are dropped."""
        (h, w), (rows, columns) = block, blocks
        pixels = self._resized((-h * rows.before, h * rows.kernel), (-w * columns.before, w * columns.kernel))
        out, channels = pixels.shape[:2]
        split = pixels.reshape(out, channels, rows.kernel, h, columns.kernel, w)
        axes = phase_axes(order, channel=1, row=3, column=5)
        return split.permute(0, *axes, 2, 4).reshape(out, channels * h * w, rows.kernel, columns.kernel)

    def offsets(self) -> tuple[set[int], set[int]]:
        """Rows and columns in which some weight is not zero."""
        used = (self.weight != 0).any(0).any(0)  # [rows, columns]
        rows, columns = used.any(1).nonzero().flatten(), used.any(0).nonzero().flatten()
        return {self.first[0] + y for y in rows.tolist()}, {self.first[1] + x for x in columns.tolist()}

    def fits(self, windows: tuple[Window, Window]) -> bool:
        """Whether the windows read every pixel whose weight is not zero."""
        return all(used <= pixels_read(window) for used, window in zip(self.offsets(), windows, strict=True))

    def _resized(self, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        """The weight cropped or zero-padded to other rows and columns, each given as (first, number)."""
        top, left = self.first[0] - rows[0], self.first[1] - columns[0]
        height, width = self.weight.shape[2:]
        resized = self.weight.new_zeros(*self.weight.shape[:2], rows[1], columns[1])
        resized[:, :, max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = self.weight[
            :, :, max(-top, 0) : max(rows[1] - top, 0), max(-left, 0) : max(columns[1] - left, 0)
        ]
        return resized


def pixels_read(window: Window) -> set[int]:
    """The pixels that a window over pixels reads, counted from that of its output."""
    return {u * window.dilation - window.before for u in range(window.kernel)}


def smallest_window(used: Iterable[int], like: Window) -> Window:
    """The window of fewest taps that reads the pixels `used` and gives as many outputs as `like`, whatever the size.

    Padding cannot be negative, so the window begins no later than the output's pixel, and ends no sooner than `like`
    does without padding after the axis.
    """
    last_of_like = _span(like) - 1 - like.before
    least_end = last_of_like - like.after
    pixels = set(used) or {0}
    pixels |= ({0} if min(pixels) > 0 else set()) | ({least_end} if max(pixels) < least_end else set())
    first, last = min(pixels), max(pixels)
    step = gcd(*(pixel - first for pixel in pixels)) or 1
    return Window((last - first) // step + 1, like.stride, -first, like.after + last - last_of_like, step)


def _span(window: Window) -> int:
    """Pixels from a window's first tap to its last."""
    return window.dilation * (window.kernel - 1) + 1

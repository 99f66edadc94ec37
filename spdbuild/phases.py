"""A strided window seen in blocks: the mathematics that makes SPD-Conv exact, one axis at a time.

Output i of a window with stride s reads the inputs s*i + u*d - p for its taps u = 0 .. k-1 (dilation d, padding p
before). Write u*d - p = s*b + r with 0 <= r < s. Then s*i + u*d - p = s*(i + b) + r: tap u reads phase r of block
i + b, and after space_to_depth(s) block and phase are position and channel. So the window equals a stride-1 window over
the blocks i + b_min .. i + b_max, where b_min = floor(-p / s) and b_max = floor(((k - 1)*d - p) / s):

    kernel  K      = b_max - b_min + 1
    padding before = -b_min                               blocks of zeros before the first
    padding after  = n - ceil(size / s) + K - 1 - before  for n outputs; a negative number is a crop

k3 s2 p1 needs K = 2, before = 1; k7 s2 p3 needs K = 4, before = 2; k1 s2 p0 needs K = 1, before = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spdbuild.errors import ArgumentError
from spdbuild.shape import Sides, Size, pair, sides, window_output

#: How the channels after space_to_depth are ordered, the slowest axis first. column_row_channel is SPD-Conv's order,
#: row_column_channel that of ONNX and TensorFlow, channel_row_column that of torch's PixelUnshuffle.
Order = Literal["column_row_channel", "row_column_channel", "channel_row_column"]

#: How many blocks the window that replaces a strided one has: as few as hold it, as many as the strided one has taps
#: unless these are whole blocks already, or a given number.
SpdKernel = Literal["exact", "same"] | int


@dataclass(frozen=True)
class Blocks:
    """A stride-1 window over `kernel` blocks of one axis, of which `before` lie before the output's own block."""

    kernel: int
    before: int

    @property
    def after(self) -> int:
        """Blocks after the output's own; negative where the window ends before it."""
        return self.kernel - 1 - self.before

    def covers(self, other: Blocks) -> bool:
        """Whether every block of `other` is one of these."""
        return self.before >= other.before and self.after >= other.after


@dataclass(frozen=True)
class Window:
    """One axis of a convolution or a pool; all numbers in pixels.

    before, after: zeros before and after the axis.
    ceil: whether a last window that reaches beyond the padding counts too.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False

    def output(self, size: int) -> int:
        """Number of positions of this window on an axis of `size` pixels; ShapeError if there is none."""
        return window_output(size, self.kernel, self.stride, self.before, self.after, self.dilation, self.ceil)

    def exact_blocks(self) -> Blocks:
        """The fewest blocks that hold every tap."""
        return exact_blocks(self.kernel, self.stride, self.before, self.dilation)

    def blocks(self, spd_kernel: SpdKernel) -> Blocks:
        """The blocks that replace this window for a choice of `spd_kernel`."""
        exact = self.exact_blocks()
        # A window of whole blocks, such as k6 s2 p2, is a window of stride 1 over blocks already.
        if spd_kernel == "exact" or (spd_kernel == "same" and self.kernel == self.stride * exact.kernel):
            return exact
        return fitted_blocks(self.kernel if spd_kernel == "same" else spd_kernel, exact)

    def taps(self) -> Iterator[tuple[int, int]]:
        """(block, phase) of every tap, the block counted from the output's own."""
        return (tap(u, self.stride, self.before, self.dilation) for u in range(self.kernel))

    def pixel_padding(self, size: int, blocks: Blocks) -> tuple[int, int]:
        """Pixels to add before and after an axis (negative: to crop) so that `blocks` fit it without padding."""
        before = self.stride * blocks.before
        after = self.stride * (self.output(size) + blocks.after) - size
        return before, after


def windows(
    kernel: Size, stride: Size, padding: Size | Sides, dilation: Size = 1, ceil: bool = False
) -> tuple[Window, Window]:
    """The window of the rows and that of the columns."""
    axes = zip(pair(kernel), pair(stride), sides(padding), pair(dilation), strict=True)
    rows, columns = (Window(taps, step, *around, gap, ceil) for taps, step, around, gap in axes)
    return rows, columns


def phase_order(order: Order | None, groups: int) -> Order:
    """The given order, or SPD-Conv's; with groups, the only one that keeps the phases of a channel together."""
    together: Order = "channel_row_column"
    if groups > 1 and order not in (None, together):
        raise ArgumentError(f"order must be '{together}' with groups={groups}, got '{order}'", argument="order")
    return order or ("column_row_channel" if groups == 1 else together)


def phase_axes(order: Order, *, channel: int, row: int, column: int) -> tuple[int, int, int]:
    """The three axes of a tensor in the order of the channels that they become, the slowest first."""
    axes = {"channel": channel, "row": row, "column": column}
    first, second, third = order.split("_")
    return axes[first], axes[second], axes[third]


def tap(u: int, stride: int, padding_before: int, dilation: int = 1) -> tuple[int, int]:
    """(block, phase) that tap `u` of a strided window reads, the block counted from the output's own."""
    return divmod(u * dilation - padding_before, stride)


def exact_blocks(kernel: int, stride: int, padding_before: int, dilation: int = 1) -> Blocks:
    """The fewest blocks that hold every tap of a strided window."""
    first, _ = tap(0, stride, padding_before, dilation)
    last, _ = tap(kernel - 1, stride, padding_before, dilation)
    return Blocks(last - first + 1, -first)


def fitted_blocks(kernel: int, exact: Blocks) -> Blocks:
    """A window of `kernel` blocks, as centred as it can be while it covers `exact`, or lies within it if smaller."""
    least, most = sorted((exact.before, exact.before + kernel - exact.kernel))
    return Blocks(kernel, min(max((kernel - 1) // 2, least), most))

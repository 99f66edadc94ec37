"""Weights of the same convolution in another form: other order of space-to-depth, or a strided kernel in its place."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spdbuild.errors import ShapeError
from spdbuild.phases import Order

if TYPE_CHECKING:
    from torch import Tensor

#: Block sizes that are looked for when two shapes do not agree.
MAX_BLOCK = 16

#: The axes of a block's channels, slowest first.
_AXES: dict[Order, tuple[str, str, str]] = {
    "column_row_channel": ("column", "row", "channel"),
    "row_column_channel": ("row", "column", "channel"),
    "channel_row_column": ("channel", "row", "column"),
}


def permute_order(
    weight: Tensor, source: Order, target: Order, block: tuple[int, int] = (2, 2), axis: int = 1
) -> Tensor:
    """`weight` behind space_to_depth in the order `source`, for space_to_depth in the order `target`.

    block: height and width of the blocks. axis: of the channels that space_to_depth made: 1 for a convolution that reads
    them, (out, h*w*c, k, k); 0 for a norm's vector, (h*w*c,). Raises ShapeError if that is no multiple of h*w.
    """
    height, width = block
    size = weight.shape[axis]
    if size % (height * width):
        raise ShapeError(f"{size} channels are no multiple of the {height}x{width} pixels of a block")
    sizes = {"row": height, "column": width, "channel": size // (height * width)}
    axes = _AXES[source]
    split = weight.unflatten(axis, [sizes[name] for name in axes])
    moved = split.movedim([axis + axes.index(name) for name in _AXES[target]], [axis, axis + 1, axis + 2])
    return moved.flatten(axis, axis + 2).contiguous()


def fold_kernel(weight: Tensor, block: int, order: Order = "column_row_channel") -> Tensor:
    """The kernel with stride `block` that does what space_to_depth(block) and the stride-1 kernel `weight` do.

    (out, block**2 * c, k, l) -> (out, c, block * k, block * l): W[o, c, s*a + row, s*b + column] is
    w[o, (column, row, c), a, b] in the order of space_to_depth.
    """
    channels = permute_order(weight, order, "channel_row_column", (block, block))
    split = channels.unflatten(1, [-1, block, block])
    return split.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3).contiguous()


def unfold_kernel(weight: Tensor, block: int, order: Order = "column_row_channel") -> Tensor:
    """The inverse of `fold_kernel`: (out, c, block * k, block * l) -> (out, block**2 * c, k, l)."""
    split = weight.unflatten(3, [-1, block]).unflatten(2, [-1, block])
    channels = split.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)
    return permute_order(channels, "channel_row_column", order, (block, block))


def folding_block(wide: tuple[int, ...], deep: tuple[int, ...]) -> int | None:
    """The block s with which `deep` (out, s*s*c, k, l) folds into `wide` (out, c, s*k, s*l); None if there is none."""
    if len(wide) != 4 or len(deep) != 4 or wide[0] != deep[0] or 0 in wide or deep[1] % wide[1]:
        return None
    block = math.isqrt(deep[1] // wide[1])
    if not 1 < block <= MAX_BLOCK:
        return None
    return block if wide == (deep[0], deep[1] // block**2, deep[2] * block, deep[3] * block) else None

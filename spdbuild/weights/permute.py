"""Weights of a convolution in another form: for another order of space-to-depth, or as a strided kernel instead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spdbuild.errors import ShapeError
from spdbuild.phases import Blocks, Order, Window, phase_axes
from spdbuild.weight_transfer.kernel import PixelKernel

if TYPE_CHECKING:
    from torch import Tensor

#: The largest block size that is tried when two shapes differ.
MAX_BLOCK = 16


def permute_order(
    weight: Tensor, source: Order, target: Order, block: tuple[int, int] = (2, 2), axis: int = 1
) -> Tensor:
    """A weight that follows space_to_depth in the order `source`, permuted for the order `target`.

    block: height and width of the blocks.
    axis: that of the channels that space_to_depth made: 1 for the convolution that reads them, (out, h*w*c, k, k), and
        0 for a norm's vector, (h*w*c,).
    Raises ShapeError if their number is not a multiple of h*w.
    """
    (height, width), shape = block, tuple(weight.shape)
    if shape[axis] % (height * width):
        raise ShapeError(f"{shape[axis]} channels are no multiple of the {height}x{width} pixels of a block")
    sizes = phase_axes(source, channel=shape[axis] // (height * width), row=height, column=width)
    places = dict(zip(phase_axes(source, channel=0, row=1, column=2), range(axis, axis + 3), strict=True))
    wanted = [places[kind] for kind in phase_axes(target, channel=0, row=1, column=2)]
    split = weight.reshape(*shape[:axis], *sizes, *shape[axis + 1 :])
    rest = range(axis + 3, split.dim())
    return split.permute(*range(axis), *wanted, *rest).reshape(shape)


def fold_kernel(weight: Tensor, block: int, order: Order = "column_row_channel") -> Tensor:
    """The kernel of stride `block` that equals space_to_depth(block) followed by the stride-1 kernel `weight`.

    (out, block**2 * c, k, l) -> (out, c, block * k, block * l): W[o, c, s*a + row, s*b + column] is
    w[o, (column, row, c), a, b] in the order of SPD-Conv.
    """
    rows, columns = map(Window, weight.shape[2:])
    return PixelKernel.of_blocks(weight, (block, block), order, (rows, columns)).weight


def unfold_kernel(weight: Tensor, block: int, order: Order = "column_row_channel") -> Tensor:
    """The inverse of `fold_kernel`: (out, c, block * k, block * l) -> (out, block**2 * c, k, l)."""
    rows, columns = (Blocks(size // block, before=0) for size in weight.shape[2:])
    return PixelKernel(weight, (0, 0)).in_blocks((block, block), order, (rows, columns))


def folding_block(wide: tuple[int, ...], deep: tuple[int, ...]) -> int | None:
    """The block s with which `deep` (out, s*s*c, k, l) folds into `wide` (out, c, s*k, s*l); None if there is none."""
    if len(wide) != 4 or len(deep) != 4 or 0 in wide:
        return None
    block = math.isqrt(deep[1] // wide[1])
    folded = (deep[0], deep[1] // block**2, deep[2] * block, deep[3] * block) if 1 < block <= MAX_BLOCK else None
    return block if wide == folded and deep[1] == wide[1] * block**2 else None

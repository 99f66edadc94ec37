"""How many taps of an SPD-Conv kernel the layer that it replaces had too."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from spdbuild.ops import Op
from spdbuild.ops.spd import SpdConv2d, SpdPool


@dataclass(frozen=True)
class Taps:
    """used: pixels that the strided layer read and that the new kernel holds. of: pixels that the new kernel reads."""

    used: int
    of: int

    def __str__(self) -> str:
        return f"{self.used}/{self.of}"


def taps_of(op: Op) -> Taps | None:
    """The taps of an SPD-Conv layer; None for any other op.

    A 3x3 kernel of stride 2 uses 9 of the 16 taps of 2x2 blocks of 2x2 pixels: 9/16.
    """
    if not isinstance(op, SpdConv2d | SpdPool):
        return None
    axes = list(zip(op.windows(), op.blocks(), strict=True))
    used = (sum(-blocks.before <= block <= blocks.after for block, _ in window.taps()) for window, blocks in axes)
    return Taps(prod(used), prod(window.stride * blocks.kernel for window, blocks in axes))

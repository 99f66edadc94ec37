"""Ops that change the resolution without learned weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ShapeError
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Family, Op
from spdbuild.phases import Order
from spdbuild.shape import Shape, Size, pair

if TYPE_CHECKING:
    from torch import nn


@OPS.register
@dataclass(frozen=True)
class SpaceToDepth(Op):
    """Move each block of pixels into channels; nothing is lost.

    Input (N, C, H, W), output (N, C*h*w, H/h, W/w) for blocks of h x w pixels. Weights for different orders are not
    interchangeable. SPD-Conv's order is column of the block, row of the block, input channel, ``n c (i h) (j w) ->
    n (w h c) i j``.

    block: pixels of a block; one number or [height, width].
    order: how the output channels are ordered, slowest first: "column_row_channel" (SPD-Conv),
        "row_column_channel" (ONNX, TensorFlow) or "channel_row_column" (torch's PixelUnshuffle; the only one that
        keeps groups of channels together).
    odd: what happens to sizes that are not multiples of the block: "pad" adds zeros at the right and bottom, "error"
        refuses them.

    Source: Sunkara and Luo 2022, "No More Strided Convolutions or Pooling", arXiv:2208.03641, section 3.1.
    """

    family: ClassVar[Family] = "resampling"

    block: Size = 2
    order: Order = "column_row_channel"
    odd: Literal["pad", "error"] = "pad"

    def __post_init__(self) -> None:
        require_range(self, "block", least=1, most=MAX_ARGUMENT)

    def shape(self, x: Shape) -> Shape:
        height, width = pair(self.block)
        if self.odd == "error" and (x.height % height or x.width % width):
            raise ShapeError(f"height and width must be multiples of the block {height}x{width}, got {x}")
        return Shape(x.channels * height * width, -(-x.height // height), -(-x.width // width))

    def module(self, x: Shape) -> nn.Module:
        from spdbuild.nn.resampling import SpaceToDepth

        return SpaceToDepth(self.block, self.order, self.odd)

    def simplified(self, x: Shape) -> Op | None:
        return None if pair(self.block) == (1, 1) else self

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(3, 8, 6)], Shape(12, 4, 3))


@OPS.register
@dataclass(frozen=True)
class DepthToSpace(Op):
    """Move channels into blocks of pixels; the inverse of space_to_depth.

    Input (N, C, H, W), output (N, C/(h*w), H*h, W*w) for blocks of h x w pixels.

    block: pixels of a block; one number or [height, width].
    order: how the input channels are ordered, slowest first: "column_row_channel" (SPD-Conv), "row_column_channel"
        (ONNX's DCR mode, TensorFlow) or "channel_row_column" (torch's PixelShuffle, ONNX's CRD mode).

    Source: Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", arXiv:1609.05158, equation 4.
    """

    family: ClassVar[Family] = "resampling"

    block: Size = 2
    order: Order = "column_row_channel"

    def __post_init__(self) -> None:
        require_range(self, "block", least=1, most=MAX_ARGUMENT)

    def shape(self, x: Shape) -> Shape:
        height, width = pair(self.block)
        if x.channels % (height * width):
            raise ShapeError(f"channels must be a multiple of the {height}x{width} pixels of a block, got {x.channels}")
        return Shape(x.channels // (height * width), x.height * height, x.width * width)

    def module(self, x: Shape) -> nn.Module:
        from spdbuild.nn.resampling import DepthToSpace

        return DepthToSpace(self.block, self.order)

    def simplified(self, x: Shape) -> Op | None:
        return None if pair(self.block) == (1, 1) else self

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(12, 4, 3)], Shape(3, 8, 6))


@OPS.register
@dataclass(frozen=True)
class Upsample(Op):
    """Enlarge images by a whole factor.

    Input (N, C, H, W), output (N, C, h*H, w*W).

    factor: how many times larger; one number or [height, width].
    mode: "nearest" repeats pixels, "bilinear" blends neighbours (pixel centres at halves, corners not aligned).

    Source: as torch.nn.Upsample.
    """

    family: ClassVar[Family] = "resampling"

    factor: Size = 2
    mode: Literal["nearest", "bilinear"] = "nearest"

    def __post_init__(self) -> None:
        require_range(self, "factor", least=1, most=MAX_ARGUMENT)

    def shape(self, x: Shape) -> Shape:
        vertical, horizontal = pair(self.factor)
        return Shape(x.channels, x.height * vertical, x.width * horizontal)

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        vertical, horizontal = pair(self.factor)
        return nn.Upsample(scale_factor=(float(vertical), float(horizontal)), mode=self.mode)

    def simplified(self, x: Shape) -> Op | None:
        return None if pair(self.factor) == (1, 1) else self

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(4, 5, 3)], Shape(4, 10, 6))

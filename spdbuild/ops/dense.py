"""Ops on vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ShapeError
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Family, Op
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import nn


@OPS.register
@dataclass(frozen=True)
class Flatten(Op):
    """Turn an image into one vector: channel by channel, row by row.

    Input (N, C, H, W), output (N, C*H*W).

    Source: as torch.nn.Flatten.
    """

    family: ClassVar[Family] = "dense"

    def shape(self, x: Shape) -> Shape:
        return Shape(x.elements)

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.Flatten()

    def simplified(self, x: Shape) -> Op | None:
        return None if len(x) == 1 else self

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(4, 5, 6)], Shape(120))


@OPS.register
@dataclass(frozen=True)
class Linear(Op):
    """Compute each output as a weighted sum of all numbers of a vector.

    Input (N, C), output (N, out).

    out: size of the output.
    bias: whether a learned number is added to each output.

    Source: Rosenblatt 1958, "The Perceptron"; arguments as in torch.nn.Linear.
    """

    family: ClassVar[Family] = "dense"
    weights: ClassVar[bool] = True

    out: int
    bias: bool = True

    def __post_init__(self) -> None:
        require_range(self, "out", least=1, most=MAX_ARGUMENT)

    def shape(self, x: Shape) -> Shape:
        if len(x) != 1:
            raise ShapeError(
                f"linear reads a vector, got an image of {x}",
                hint="put global_avg_pool() or flatten() before it; linear at each pixel is conv2d(out, bias=true)",
            )
        return Shape(self.out)

    def parameters(self, x: Shape) -> int:
        return self.out * (x.channels + self.bias)

    def macs(self, x: Shape) -> int:
        return self.out * x.channels

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.Linear(x.channels, self.out, self.bias)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(10), [Shape(32)], Shape(10))

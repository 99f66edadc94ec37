"""Ops that disturb training and do nothing in evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from spdbuild.declaring.ranges import require_range
from spdbuild.ops.op import OPS, Example, Family, Op
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Regularization(Op):
    """An op that drops a share `rate` of what it reads, and nothing at rate 0."""

    family: ClassVar[Family] = "regularization"

    rate: float = 0.5

    def __post_init__(self) -> None:
        require_range(self, "rate", least=0, most=1)

    def shape(self, x: Shape) -> Shape:
        return x

    def simplified(self, x: Shape) -> Op | None:
        return self if self.rate > 0 else None


@OPS.register
@dataclass(frozen=True)
class Dropout(Regularization):
    """In training, replace single numbers with zero at random and scale the others up to the same mean.

    Input and output have any shape.

    rate: share of the numbers that are dropped.

    Source: Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
    """

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.Dropout(self.rate)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(16)], Shape(16))


@OPS.register
@dataclass(frozen=True)
class StochasticDepth(Regularization):
    """In training, zero the tensors of whole samples at random and scale the others up to the same mean.

    Input and output have any shape. It ends a residual branch, which is therefore skipped now and then.

    rate: share of the samples that are dropped.
    mode: "row" draws for each sample, "batch" once for the whole batch.

    Source: Huang et al. 2016, "Deep Networks with Stochastic Depth", arXiv:1603.09382; as in torchvision.ops.
    """

    mode: Literal["row", "batch"] = "row"

    def module(self, x: Shape) -> nn.Module:
        from torchvision.ops import StochasticDepth

        module: nn.Module = StochasticDepth(self.rate, self.mode)
        return module

    @classmethod
    def example(cls) -> Example:
        return Example(cls(rate=0.2), [Shape(4, 5, 6)], Shape(4, 5, 6))

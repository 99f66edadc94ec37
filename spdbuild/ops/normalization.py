"""Ops that shift and scale what flows through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ShapeError
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Family, Op
from spdbuild.shape import Shape

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Normalization(Op):
    """An op with learned numbers for each channel that keeps the shape."""

    family: ClassVar[Family] = "normalization"
    weights: ClassVar[bool] = True

    def shape(self, x: Shape) -> Shape:
        return x

    def parameters(self, x: Shape) -> int:
        return 2 * x.channels

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(8, 6, 5)], Shape(8, 6, 5))


@OPS.register
@dataclass(frozen=True)
class BatchNorm(Normalization):
    """Normalise each channel by its mean and variance over the batch; in evaluation by the running ones.

    Input and output (N, C, H, W) or (N, C).

    epsilon: added to the variance.
    momentum: weight of the newest batch in the running mean and variance.
    affine: whether each channel has a learned factor and offset.

    Source: Ioffe and Szegedy 2015, "Batch Normalization", arXiv:1502.03167, algorithm 1.
    """

    epsilon: float = 1e-5
    momentum: float = 0.1
    affine: bool = True

    def __post_init__(self) -> None:
        require_range(self, "epsilon", above=0)
        require_range(self, "momentum", least=0, most=1)

    def parameters(self, x: Shape) -> int:
        return 2 * x.channels if self.affine else 0

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return (nn.BatchNorm1d if len(x) == 1 else nn.BatchNorm2d)(x.channels, self.epsilon, self.momentum, self.affine)


@OPS.register
@dataclass(frozen=True)
class GroupNorm(Normalization):
    """Normalise groups of channels by their mean and variance within each sample.

    Input and output (N, C, H, W) or (N, C).

    groups: number of parts into which the channels are split; must divide C.
    epsilon: added to the variance.

    Source: Wu and He 2018, "Group Normalization", arXiv:1803.08494.
    """

    groups: int = 32
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        require_range(self, "groups", least=1, most=MAX_ARGUMENT)
        require_range(self, "epsilon", above=0)

    def shape(self, x: Shape) -> Shape:
        if x.channels % self.groups:
            raise ShapeError(f"groups={self.groups} must divide the input channels, got {x.channels}")
        if x.elements == self.groups:
            raise ShapeError(f"one value has no variance, got {x} in {self.groups} groups")
        return x

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        return nn.GroupNorm(self.groups, x.channels, self.epsilon)

    @classmethod
    def example(cls) -> Example:
        return Example(cls(), [Shape(64, 4, 5)], Shape(64, 4, 5))


@OPS.register
@dataclass(frozen=True)
class InstanceNorm(Normalization):
    """Normalise each channel by its mean and variance over the pixels of each sample.

    Input and output (N, C, H, W), of more than one pixel. Each channel has a learned factor and offset.

    epsilon: added to the variance.

    Source: Ulyanov, Vedaldi and Lempitsky 2016, "Instance Normalization", arXiv:1607.08022; as torch.nn.InstanceNorm2d
    with affine=True, which equals a group norm of one channel per group.
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        require_range(self, "epsilon", above=0)

    def shape(self, x: Shape) -> Shape:
        image = Shape(x.channels, x.height, x.width)
        if image.pixels == 1:
            raise ShapeError(f"one pixel has no variance, got {image}")
        return image

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        # The gradient of torch's InstanceNorm2d is wrong for one sample whose own gradient is channels_last.
        return nn.GroupNorm(x.channels, x.channels, self.epsilon)


@OPS.register
@dataclass(frozen=True)
class LayerNorm(Normalization):
    """Normalise the channels of each position of each sample.

    Input and output (N, C, H, W) or (N, C). Each pixel has its own mean and variance, as in ConvNeXt; the learned
    factor and offset belong to the channels.

    epsilon: added to the variance.

    Source: Ba, Kiros and Hinton 2016, "Layer Normalization", arXiv:1607.06450; for images as in Liu et al. 2022, "A
    ConvNet for the 2020s", arXiv:2201.03545.
    """

    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        require_range(self, "epsilon", above=0)

    def module(self, x: Shape) -> nn.Module:
        from torch import nn

        from spdbuild.nn.normalization import LayerNorm2d

        return (nn.LayerNorm if len(x) == 1 else LayerNorm2d)(x.channels, self.epsilon)


@OPS.register
@dataclass(frozen=True)
class LayerScale(Normalization):
    """Multiply each channel by a learned number that starts near zero.

    Input and output (N, C, H, W). It ends a residual branch, which therefore starts as almost nothing.

    initial: initial value of these numbers.

    Source: Touvron et al. 2021, "Going deeper with Image Transformers", arXiv:2103.17239, section 2.
    """

    initial: float = 1e-6

    def shape(self, x: Shape) -> Shape:
        return Shape(x.channels, x.height, x.width)

    def parameters(self, x: Shape) -> int:
        return x.channels

    def module(self, x: Shape) -> nn.Module:
        from spdbuild.nn.normalization import LayerScale2d

        return LayerScale2d(x.channels, self.initial)

"""Modules of torch -> our ops and their weights; one function for each kind of module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn
from torchvision.ops import StochasticDepth as TorchStochasticDepth

from spdbuild.errors import InputError
from spdbuild.ops import Op
from spdbuild.ops.activation import (
    Gelu,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    Mish,
    Relu,
    Relu6,
    Sigmoid,
    Silu,
    Tanh,
)
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.dense import Flatten, Linear
from spdbuild.ops.normalization import BatchNorm, GroupNorm, LayerNorm
from spdbuild.ops.pooling import AdaptiveAvgPool, AvgPool, GlobalAvgPool, MaxPool
from spdbuild.ops.regularization import Dropout, StochasticDepth
from spdbuild.ops.resampling import DepthToSpace, SpaceToDepth, Upsample
from spdbuild.shape import Shape, Size, pair

Rule = Callable[[Any, Shape], Op]
R = TypeVar("R", bound=Rule)


class Unknown(InputError):
    """Something that our language has no op for; the message says what it is."""


#: Classes of torch -> the rule that makes our op from the module and the shape that it reads.
RULES: dict[type[nn.Module], Rule] = {
    nn.ReLU: lambda module, x: Relu(),
    nn.ReLU6: lambda module, x: Relu6(),
    nn.SiLU: lambda module, x: Silu(),
    nn.Mish: lambda module, x: Mish(),
    nn.Sigmoid: lambda module, x: Sigmoid(),
    nn.Hardsigmoid: lambda module, x: HardSigmoid(),
    nn.Hardswish: lambda module, x: HardSwish(),
    nn.Tanh: lambda module, x: Tanh(),
    nn.Identity: lambda module, x: Identity(),
    nn.LeakyReLU: lambda module, x: LeakyRelu(module.negative_slope),
    nn.Dropout: lambda module, x: Dropout(module.p),
    TorchStochasticDepth: lambda module, x: StochasticDepth(module.p, module.mode),
    nn.PixelShuffle: lambda module, x: DepthToSpace(module.upscale_factor, "channel_row_column"),
    nn.PixelUnshuffle: lambda module, x: SpaceToDepth(module.downscale_factor, "channel_row_column", "error"),
}


def rule_of(module: nn.Module) -> Rule | None:
    """The rule for a module: of its class, or of one that it inherits the forward of."""
    for known, rule in RULES.items():
        if isinstance(module, known) and type(module).forward is known.forward:
            return rule
    return None


def short(value: Any) -> Size:
    """(3, 3) -> 3, (1, 7) -> (1, 7)."""
    height, width = pair(tuple(value) if isinstance(value, list | tuple) else int(value))
    return height if height == width else (height, width)


def unless_default(padding: Any, kernel: Any, dilation: Any = 1) -> Size | None:
    """A padding, or None if it is what our ops take for this kernel anyway."""
    given = pair(short(padding))
    sizes = zip(pair(short(kernel)), pair(short(dilation)), strict=True)
    return None if given == tuple(gap * (size - 1) // 2 for size, gap in sizes) else short(given)


def _rule(kind: type[nn.Module]) -> Callable[[R], R]:
    def register(rule: R) -> R:
        RULES[kind] = rule
        return rule

    return register


@_rule(nn.Conv2d)
def conv2d(conv: nn.Conv2d, x: Shape) -> Op:
    if conv.padding_mode != "zeros":
        raise Unknown(f"a convolution that pads by '{conv.padding_mode}'")
    padding = unless_default(_zeros(conv), conv.kernel_size, conv.dilation)
    return Conv2d(
        conv.out_channels,
        short(conv.kernel_size),
        short(conv.stride),
        padding,
        short(conv.dilation),
        conv.groups,
        conv.bias is not None,
    )


def _zeros(conv: nn.Conv2d) -> tuple[int, ...]:
    """Zeros on each side of the image, in pixels."""
    if not isinstance(conv.padding, str):
        return conv.padding
    if conv.padding == "valid":
        return 0, 0
    both = [gap * (size - 1) for size, gap in zip(conv.kernel_size, conv.dilation, strict=True)]
    if any(zeros % 2 for zeros in both):
        raise Unknown("a convolution with padding='same' and an even kernel")
    return both[0] // 2, both[1] // 2


@_rule(nn.Linear)
def linear(layer: nn.Linear, x: Shape) -> Op:
    """On an image the layer works at each pixel, as a 1x1 convolution does."""
    bias = layer.bias is not None
    return Linear(layer.out_features, bias) if len(x) == 1 else Conv2d(layer.out_features, bias=bias)


@_rule(nn.BatchNorm1d)
@_rule(nn.BatchNorm2d)
def batch_norm(norm: nn.BatchNorm2d, x: Shape) -> Op:
    if norm.momentum is None or not norm.track_running_stats:
        raise Unknown("a batch norm without running mean and variance, or with their plain average")
    return BatchNorm(norm.eps, norm.momentum, norm.affine)


@_rule(nn.GroupNorm)
def group_norm(norm: nn.GroupNorm, x: Shape) -> Op:
    if not norm.affine:
        raise Unknown("a group norm without weights")
    return GroupNorm(norm.num_groups, norm.eps)


@_rule(nn.LayerNorm)
def layer_norm(norm: nn.LayerNorm, x: Shape) -> Op:
    if tuple(norm.normalized_shape) != (x.channels,) or norm.weight is None or norm.bias is None:
        raise Unknown(f"a layer norm over {tuple(norm.normalized_shape)}, other than over the channels")
    return LayerNorm(norm.eps)


@_rule(nn.GELU)
def gelu(module: nn.GELU, x: Shape) -> Op:
    if module.approximate != "none":
        raise Unknown(f"gelu with approximate='{module.approximate}'")
    return Gelu()


@_rule(nn.MaxPool2d)
def max_pool(pool: nn.MaxPool2d, x: Shape) -> Op:
    if pool.return_indices:
        raise Unknown("a max pool that returns indices")
    padding = unless_default(pool.padding, pool.kernel_size)
    return MaxPool(short(pool.kernel_size), short(pool.stride), padding, short(pool.dilation), pool.ceil_mode)


@_rule(nn.AvgPool2d)
def avg_pool(pool: nn.AvgPool2d, x: Shape) -> Op:
    if pool.divisor_override is not None:
        raise Unknown("an average pool with divisor_override")
    padding = unless_default(pool.padding, pool.kernel_size)
    count_padding = pool.count_include_pad or short(pool.padding) == 0
    return AvgPool(short(pool.kernel_size), short(pool.stride), padding, pool.ceil_mode, count_padding)


@_rule(nn.AdaptiveAvgPool2d)
def adaptive_avg_pool(pool: nn.AdaptiveAvgPool2d, x: Shape) -> Op:
    size = pool.output_size
    sides = tuple(
        own or side for own, side in zip(size if isinstance(size, tuple) else (size, size), x[1:], strict=True)
    )
    return GlobalAvgPool(keep_size=True) if sides == (1, 1) else AdaptiveAvgPool(short(sides))


@_rule(nn.Flatten)
def flatten(module: nn.Flatten, x: Shape) -> Op:
    if (module.start_dim, module.end_dim) not in ((1, -1), (1, 3)):
        raise Unknown(f"flatten of the axes {module.start_dim} to {module.end_dim}")
    return Flatten()


@_rule(nn.Upsample)
def upsample(module: nn.Upsample, x: Shape) -> Op:
    return enlarged(x, module.size, module.scale_factor, module.mode, module.align_corners)


def enlarged(x: Shape, size: Any, factor: Any, mode: str, align_corners: bool | None) -> Op:
    """The op for an enlargement to `size` pixels or by `factor`."""
    if mode not in ("nearest", "bilinear") or align_corners:
        raise Unknown(f"interpolation by '{mode}'" + (" with align_corners" if align_corners else ""))
    if size is not None:
        factor = tuple(to / side for to, side in zip(pair(short(size)), x[1:], strict=True))
    factors = tuple(factor) if isinstance(factor, list | tuple) else (factor, factor)
    if any(number != int(number) or number < 1 for number in factors):
        raise Unknown(f"interpolation by a factor of {factors}, which is no whole number")
    return Upsample(short([int(number) for number in factors]), mode)  # type: ignore[arg-type]

"""Modules of torch -> our ops and their weights; one function for each kind of module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn
from torchvision.ops import StochasticDepth as TorchStochasticDepth

from spdbuild.errors import InputError
from spdbuild.nn import SpdAvgPool2d, SpdMaxPool2d
from spdbuild.nn import SpdConv2d as SpdConv2dModule
from spdbuild.ops import Op
from spdbuild.ops.activation import (
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyRelu,
    Mish,
    Prelu,
    Relu,
    Relu6,
    Sigmoid,
    Silu,
    Softmax,
    Tanh,
)
from spdbuild.ops.convolution import Conv2d, ConvTranspose2d
from spdbuild.ops.dense import Flatten, Linear
from spdbuild.ops.normalization import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
from spdbuild.ops.pooling import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool
from spdbuild.ops.regularization import Dropout, StochasticDepth
from spdbuild.ops.resampling import DepthToSpace, SpaceToDepth, Upsample
from spdbuild.ops.spd import SpdAvgPool, SpdConv2d, SpdMaxPool
from spdbuild.phases import SpdKernel, Window, phase_order
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
    nn.ELU: lambda module, x: Elu(module.alpha),
    nn.PReLU: lambda module, x: Prelu(module.num_parameters > 1),
    nn.Dropout: lambda module, x: Dropout(module.p),
    TorchStochasticDepth: lambda module, x: StochasticDepth(module.p, module.mode),
    nn.PixelShuffle: lambda module, x: DepthToSpace(module.upscale_factor, "channel_row_column"),
    nn.PixelUnshuffle: lambda module, x: SpaceToDepth(module.downscale_factor, "channel_row_column", "error"),
}


def rule_of(module: nn.Module) -> Rule | None:
    """The rule for a module: that of its class, or of the class whose forward it inherits."""
    for known, rule in RULES.items():
        if isinstance(module, known) and type(module).forward is known.forward:
            return rule
    return None


def short(value: Any) -> Size:
    """(3, 3) -> 3, (1, 7) -> (1, 7)."""
    height, width = pair(tuple(value) if isinstance(value, list | tuple) else int(value))
    return height if height == width else (height, width)


def unless_default(padding: Any, kernel: Any, dilation: Any = 1) -> Size | None:
    """A padding, or None if it is the default of our ops for this kernel."""
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


@_rule(nn.ConvTranspose2d)
def conv_transpose2d(conv: nn.ConvTranspose2d, x: Shape) -> Op:
    return ConvTranspose2d(
        conv.out_channels,
        short(conv.kernel_size),
        short(conv.stride),
        short(conv.padding),
        short(conv.output_padding),
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


@_rule(SpdConv2dModule)
def spd_conv2d(conv: SpdConv2dModule, x: Shape) -> Op:
    kernel, stride, dilation = (_of(conv.windows, name) for name in ("kernel", "stride", "dilation"))
    rows, columns = conv.windows
    sides = (rows.before, rows.after), (columns.before, columns.after)
    even = all(before == after for before, after in sides)
    padding = unless_default((rows.before, columns.before), kernel, dilation) if even else sides
    choices: list[SpdKernel] = ["exact", "same", conv.blocks[0].kernel]
    fitting = (number for number in choices if tuple(window.blocks(number) for window in conv.windows) == conv.blocks)
    spd_kernel = next(fitting, None)
    if spd_kernel is None:
        raise Unknown("an SpdConv2d whose blocks are not those of its strided convolution")
    order = None if conv.order == phase_order(None, conv.groups) else conv.order
    return SpdConv2d(
        conv.out_channels, kernel, stride, padding, dilation, conv.groups, conv.bias is not None, spd_kernel, order
    )


@_rule(SpdMaxPool2d)
def spd_max_pool(pool: SpdMaxPool2d, x: Shape) -> Op:
    kernel, stride, before, dilation = (_of(pool.windows, name) for name in ("kernel", "stride", "before", "dilation"))
    return SpdMaxPool(kernel, stride, unless_default(before, kernel), dilation, pool.windows[0].ceil)


@_rule(SpdAvgPool2d)
def spd_avg_pool(pool: SpdAvgPool2d, x: Shape) -> Op:
    kernel, stride, before = (_of(pool.windows, name) for name in ("kernel", "stride", "before"))
    return SpdAvgPool(kernel, stride, unless_default(before, kernel), pool.windows[0].ceil)


def _of(windows: tuple[Window, Window], name: str) -> Size:
    """A number of the windows of rows and columns."""
    return short([getattr(window, name) for window in windows])


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


@_rule(nn.InstanceNorm2d)
def instance_norm(norm: nn.InstanceNorm2d, x: Shape) -> Op:
    if not norm.affine or norm.track_running_stats:
        raise Unknown("an instance norm without weights, or with running mean and variance")
    return InstanceNorm(norm.eps)


@_rule(nn.LayerNorm)
def layer_norm(norm: nn.LayerNorm, x: Shape) -> Op:
    if tuple(norm.normalized_shape) != (x.channels,) or norm.weight is None or norm.bias is None:
        raise Unknown(f"a layer norm over {tuple(norm.normalized_shape)}, other than over the channels")
    return LayerNorm(norm.eps)


@_rule(nn.Softmax)
def softmax(module: nn.Softmax, x: Shape) -> Op:
    if module.dim is None or module.dim % (1 + len(x)) != 1:
        raise Unknown(f"softmax over the axis {module.dim}, which is not that of the channels")
    return Softmax()


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
    sides = _sides(pool.output_size, x)
    return GlobalAvgPool(keep_size=True) if sides == (1, 1) else AdaptiveAvgPool(short(sides))


@_rule(nn.AdaptiveMaxPool2d)
def adaptive_max_pool(pool: nn.AdaptiveMaxPool2d, x: Shape) -> Op:
    if pool.return_indices:
        raise Unknown("a max pool that returns indices")
    sides = _sides(pool.output_size, x)
    return GlobalMaxPool(keep_size=True) if sides == (1, 1) else AdaptiveMaxPool(short(sides))


def _sides(size: Any, x: Shape) -> tuple[int, ...]:
    """Height and width of the output of an adaptive pool; None stands for that of the input."""
    both = size if isinstance(size, tuple) else (size, size)
    return tuple(own or side for own, side in zip(both, x[1:], strict=True))


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

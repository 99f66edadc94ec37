"""Functions and methods of torch -> steps. A function that has an equivalent module uses the rule of that module."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spdbuild.importing.layers import RULES, Unknown, enlarged, layer_norm, linear
from spdbuild.importing.steps import Value
from spdbuild.ops import Op
from spdbuild.ops.activation import Softmax
from spdbuild.ops.dense import Flatten
from spdbuild.ops.merging import Add, Concat, Mul, Split
from spdbuild.ops.normalization import BatchNorm, LayerScale
from spdbuild.ops.pooling import GlobalAvgPool, GlobalMaxPool, GlobalPool
from spdbuild.shape import Shape

#: Functions that do what a module does: the module, and the parameters after the input.
AS_MODULES: dict[Any, tuple[type[nn.Module], tuple[str, ...]]] = {
    F.relu: (nn.ReLU, ("inplace",)),
    F.relu6: (nn.ReLU6, ("inplace",)),
    F.silu: (nn.SiLU, ("inplace",)),
    F.mish: (nn.Mish, ("inplace",)),
    F.gelu: (nn.GELU, ("approximate",)),
    F.hardsigmoid: (nn.Hardsigmoid, ("inplace",)),
    F.hardswish: (nn.Hardswish, ("inplace",)),
    F.leaky_relu: (nn.LeakyReLU, ("negative_slope", "inplace")),
    F.elu: (nn.ELU, ("alpha", "inplace")),
    F.max_pool2d: (nn.MaxPool2d, ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")),
    F.avg_pool2d: (
        nn.AvgPool2d,
        ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"),
    ),
    F.adaptive_avg_pool2d: (nn.AdaptiveAvgPool2d, ("output_size",)),
    F.adaptive_max_pool2d: (nn.AdaptiveMaxPool2d, ("output_size", "return_indices")),
    F.pixel_shuffle: (nn.PixelShuffle, ("upscale_factor",)),
    F.pixel_unshuffle: (nn.PixelUnshuffle, ("downscale_factor",)),
}
AS_MODULES |= dict.fromkeys((torch.relu, torch.relu_, "relu", "relu_"), (nn.ReLU, ()))
AS_MODULES |= dict.fromkeys((torch.sigmoid, F.sigmoid, "sigmoid", "sigmoid_"), (nn.Sigmoid, ()))
AS_MODULES |= dict.fromkeys((torch.tanh, F.tanh, "tanh", "tanh_"), (nn.Tanh, ()))
AS_MODULES |= {torch.max_pool2d: AS_MODULES[F.max_pool2d]}

#: Functions and methods that return their input.
SAME = ("contiguous", "clone", "detach", torch.clone)


NOTHING: Mapping[str, Any] = MappingProxyType({})


class CallSite(Protocol):
    """Where a function is called."""

    result: Any

    def shape(self, value: Value) -> Shape:
        """The shape of a value in our order, channels first."""

    def emit(self, op: Op, *values: Value, last: bool | None = None, weights: Mapping[str, Any] = NOTHING) -> Value:
        """Add a step; its output has the layout of the first value unless `last` says otherwise."""


Rule = Callable[..., Any]
#: Functions and names of methods -> the rule, which takes the call site, then the arguments as they were given.
RULES_OF: dict[Any, Rule] = {}


def _rule(*targets: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES_OF.update(dict.fromkeys(targets, rule))
        return rule

    return register


def as_module(target: Any, x: Shape, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Op:
    """The op of a function that has an equivalent module."""
    kind, names = AS_MODULES[target]
    given = dict(zip(names, args, strict=False)) | kwargs
    return RULES[kind](kind(**given), x)


@_rule(*SAME)
def _same(site: CallSite, x: Value, *args: Any, **kwargs: Any) -> Value:
    return x


@_rule(F.dropout, torch.dropout)
def _dropout(site: CallSite, x: Value, p: float = 0.5, training: bool = True, inplace: bool = False) -> Value:
    return site.emit(RULES[nn.Dropout](nn.Dropout(p), site.shape(x)), x)


@_rule(operator.add, operator.iadd, torch.add, "add", "add_")
def _add(site: CallSite, x: Any, y: Any, **options: Any) -> Value:
    return _merged(site, Add(), "an addition", x, y, options)


@_rule(operator.mul, operator.imul, torch.mul, "mul", "mul_")
def _mul(site: CallSite, x: Any, y: Any) -> Value:
    for value, weight in ((x, y), (y, x)):
        if isinstance(value, Value) and isinstance(weight, Tensor):
            channels = site.shape(value).channels
            axes = (channels,) if value.last else (channels, 1, 1)
            if tuple(weight.shape[-len(axes) :]) != axes or weight.numel() != channels:
                raise Unknown(f"a product with a tensor of {tuple(weight.shape)}, other than one number a channel")
            return site.emit(LayerScale(), value, weights={"weight": weight.reshape(channels, 1, 1)})
    return _merged(site, Mul(), "a product", x, y, {})


@_rule(F.softmax, torch.softmax, "softmax")
def _softmax(site: CallSite, x: Value, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Value:
    shape = site.shape(x)
    if dtype is not None or dim is None or dim % (1 + len(shape)) != (3 if x.last else 1):
        raise Unknown(f"softmax over the axis {dim}, which is not that of the channels")
    return site.emit(Softmax(), x)


def _merged(site: CallSite, op: Op, what: str, x: Any, y: Any, options: dict[str, Any]) -> Value:
    for value in (x, y):
        if not isinstance(value, Value):
            kind = "a learned tensor" if isinstance(value, Tensor) else str(value)
            raise Unknown(f"{what} of a tensor and {kind}")
    if options:
        raise Unknown(f"{what} with {', '.join(options)}")
    if len(site.shape(x)) != len(site.shape(y)):
        raise Unknown(f"{what} of {site.shape(x)} and {site.shape(y)}, which torch lays along the width")
    _check_layouts(x, y)
    return site.emit(op, x, y)


@_rule(torch.cat, torch.concat)
def _cat(site: CallSite, tensors: list[Value], dim: int = 0) -> Value:
    _check_layouts(*tensors)
    axis = dim % (1 + len(site.shape(tensors[0])))
    if axis != (3 if tensors[0].last else 1):
        raise Unknown(f"a concatenation on axis {dim}, which is not that of the channels")
    return site.emit(Concat(), *tensors) if len(tensors) > 1 else tensors[0]


@_rule(torch.chunk, "chunk", torch.split, "split")
def _split(site: CallSite, x: Value, parts: Any = None, dim: int = 0, **options: Any) -> tuple[Value, ...]:
    if dim % (1 + len(site.shape(x))) != (3 if x.last else 1):
        raise Unknown(f"a split of axis {dim}, which is not that of the channels")
    sizes = [part.shape[3 if x.last else 1] for part in site.result]
    first = site.emit(Split(len(sizes) if len(set(sizes)) == 1 else tuple(sizes)), x)
    return tuple(first._replace(output=number) for number in range(len(sizes)))


@_rule(operator.getitem)
def _item(site: CallSite, values: Any, index: Any) -> Any:
    if isinstance(values, Value):
        raise Unknown("a slice of a tensor")
    return values[index]


@_rule(torch.flatten, "flatten")
def _flatten(site: CallSite, x: Value, start_dim: int = 0, end_dim: int = -1) -> Value:
    if start_dim != 1 or end_dim not in (-1, len(site.shape(x))):
        raise Unknown(f"flatten of the axes {start_dim} to {end_dim}")
    return _as_vector(site, x)


@_rule("view", "reshape", torch.reshape, "squeeze", torch.squeeze)
def _view(site: CallSite, x: Value, *sizes: Any, **options: Any) -> Value:
    shape, rest = site.shape(x), list(site.result.shape[1:])
    if rest == [shape.elements]:
        return _as_vector(site, x)
    if not x.last and tuple(rest) == tuple(shape):
        return x
    raise Unknown(f"a view of {shape} as {'x'.join(map(str, rest))}")


def _as_vector(site: CallSite, x: Value) -> Value:
    if x.last and site.shape(x).pixels > 1:
        raise Unknown("flatten of an image whose channels are last")
    return site.emit(Flatten(), x, last=False)


@_rule("mean", torch.mean)
def _mean(site: CallSite, x: Value, dim: Any = None, keepdim: bool = False) -> Value:
    return _over_the_image(site, GlobalAvgPool(keepdim), "mean", x, dim)


@_rule("amax", torch.amax)
def _amax(site: CallSite, x: Value, dim: Any = (), keepdim: bool = False) -> Value:
    return _over_the_image(site, GlobalMaxPool(keepdim), "maximum", x, dim)


def _over_the_image(site: CallSite, pool: GlobalPool, noun: str, x: Value, dim: Any) -> Value:
    axes = {axis % 4 for axis in ([dim] if isinstance(dim, int) else dim or ())}
    if len(site.shape(x)) != 3 or axes != ({1, 2} if x.last else {2, 3}) or (x.last and pool.keep_size):
        raise Unknown(f"a {noun} over the axes {dim}, other than over the whole image")
    return site.emit(pool, x, last=False)


@_rule("permute", torch.permute)
def _permute(site: CallSite, x: Value, *dims: Any) -> Value:
    axes = tuple(axis % 4 for axis in (dims[0] if len(dims) == 1 else dims))
    moved = {(False, (0, 2, 3, 1)): True, (True, (0, 3, 1, 2)): False}
    if len(site.shape(x)) != 3 or (x.last, axes) not in moved:
        raise Unknown(f"a permutation of the axes to {axes}")
    return x._replace(last=moved[x.last, axes])


@_rule(F.layer_norm)
def _layer_norm(
    site: CallSite, x: Value, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Value:
    shape = site.shape(x)
    if len(shape) == 3 and not x.last:
        raise Unknown("a layer norm over the width of an image")
    norm = nn.LayerNorm(tuple(normalized_shape), eps, weight is not None, bias is not None, device="meta")
    return site.emit(layer_norm(norm, shape), x, weights={"weight": weight, "bias": bias})


@_rule(F.batch_norm)
def _batch_norm(
    site: CallSite,
    x: Value,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Value:
    if running_mean is None or (weight is None) != (bias is None):
        raise Unknown("a batch norm without running mean and variance, or with half of its weights")
    if x.last:
        raise Unknown("a batch norm over channels that are last")
    # The function does not count its batches, and nothing but a momentum of None would read the count.
    running = {"running_mean": running_mean, "running_var": running_var, "num_batches_tracked": torch.tensor(0)}
    learned = {"weight": weight, "bias": bias} if weight is not None else {}
    return site.emit(BatchNorm(eps, momentum, weight is not None), x, weights={**learned, **running})


@_rule(F.linear)
def _linear(site: CallSite, x: Value, weight: Tensor, bias: Any = None) -> Value:
    shape = site.shape(x)
    if len(shape) == 3 and not x.last:
        raise Unknown("a linear layer over the width of an image")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    kernel = weight if len(shape) == 1 else weight[:, :, None, None]
    learned = {"weight": kernel} | ({} if bias is None else {"bias": bias})
    return site.emit(linear(layer, shape), x, weights=learned)


@_rule(F.interpolate)
def _interpolate(
    site: CallSite,
    x: Value,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    **options: Any,
) -> Value:
    if any(options.values()):
        raise Unknown(f"interpolation with {', '.join(name for name, value in options.items() if value)}")
    return site.emit(enlarged(site.shape(x), size, scale_factor, mode, align_corners), x)


def _check_layouts(*values: Value) -> None:
    if len({value.last for value in values}) > 1:
        raise Unknown("tensors whose channels are on different axes")

"""One strided layer of torch -> the SPD-Conv that computes the same, or the reason why there is none."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spdbuild.nn import PaddedConv2d, SameSpdConv2d, SpdAvgPool2d, SpdConv2d, SpdMaxPool2d
from spdbuild.phases import SpdKernel
from spdbuild.shape import Sides, Size, pair
from spdbuild.weight_transfer import PixelKernel

#: Strided layers that can be seen from outside, and what a report calls their function.
KINDS: dict[type[nn.Module], str] = {nn.Conv2d: "conv2d", nn.MaxPool2d: "max_pool2d", nn.AvgPool2d: "avg_pool2d"}

#: A class with a forward of its own whose function is known: timm's convolution with TensorFlow's padding.
_SAME = "timm.layers.conv2d_same.Conv2dSame"


class Left(Exception):
    """The layer stays as it is; the text says why."""


def kind_of(layer: nn.Module) -> str | None:
    """What a strided layer computes; None for any other module."""
    kind = next((kind for known, kind in KINDS.items() if isinstance(layer, known)), None)
    return kind if kind and max(pair(layer.stride)) > 1 else None  # type: ignore[arg-type]


def spd_convolution(conv: nn.Conv2d, kernel: SpdKernel) -> SpdConv2d:
    """The SPD-Conv that replaces a strided convolution, with its weights; Left if there is none.

    The weight keeps dtype, device, memory format and requires_grad; the bias is the same parameter object.
    """
    _check_convolution(conv)
    kind = SameSpdConv2d if _class(conv) == _SAME else SpdConv2d
    new = kind(
        conv.in_channels,
        conv.out_channels,
        pair(conv.kernel_size),  # type: ignore[arg-type]
        pair(conv.stride),  # type: ignore[arg-type]
        _padding(conv),
        pair(conv.dilation),  # type: ignore[arg-type]
        conv.groups,
        conv.bias is not None,
        spd_kernel=kernel,
        device="meta",
    )
    pixels = PixelKernel.of_window(conv.weight.detach(), new.windows)
    weight = pixels.in_blocks(new.block, new.order, new.blocks)
    weight = weight.contiguous(memory_format=_memory_format(conv.weight))
    new.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    new.bias = conv.bias
    return new


def is_exact(conv: SpdConv2d) -> bool:
    """Whether the blocks of `conv` hold every tap of the strided convolution that it replaces."""
    return all(map(lambda blocks, window: blocks.covers(window.exact_blocks()), conv.blocks, conv.windows))


def spd_pool(
    pool: nn.MaxPool2d | nn.AvgPool2d, channels: int, dtype: torch.dtype, device: torch.device
) -> tuple[SpdMaxPool2d | SpdAvgPool2d, bool]:
    """The convolution that replaces a strided pool, and whether it begins as exactly the same function.

    Left if there is none.

    channels, dtype, device: of what the pool reads.
    """
    known = nn.MaxPool2d if isinstance(pool, nn.MaxPool2d) else nn.AvgPool2d
    if type(pool).forward is not known.forward:
        raise Left(f"its class {_class(pool)} has a forward of its own")
    if isinstance(pool, nn.MaxPool2d):
        if pool.return_indices:
            raise Left("it returns indices, and a convolution has none")
        args = (pair(pool.kernel_size), pair(pool.stride), pair(pool.padding), pair(pool.dilation))  # type: ignore[arg-type]
        return SpdMaxPool2d(channels, *args, pool.ceil_mode, device=device, dtype=dtype), False
    if pool.divisor_override is not None:
        raise Left(f"it divides by divisor_override={pool.divisor_override}, not by the pixels of its window")
    sizes = pair(pool.kernel_size), pair(pool.stride), pair(pool.padding)
    borders = pool.count_include_pad or sizes[2] == (0, 0)
    new = SpdAvgPool2d(channels, *sizes, pool.ceil_mode, device=device, dtype=dtype)
    return new, borders and not pool.ceil_mode


def _check_convolution(conv: nn.Conv2d) -> None:
    kind = type(conv)
    own = kind.forward is not nn.Conv2d.forward or kind._conv_forward is not nn.Conv2d._conv_forward
    if own and kind is not PaddedConv2d and _class(conv) != _SAME:
        raise Left(f"its class {_class(conv)} has a forward of its own")
    if conv.padding_mode != "zeros":
        raise Left(f"its padding is not of zeros but '{conv.padding_mode}'")
    if conv._parameters.get("weight") is None:
        raise Left("its weight is computed from other numbers, as by weight_norm or pruning")


def _memory_format(weight: Tensor) -> torch.memory_format:
    """channels_last if `weight` is so; strides tell, as weights that read one channel are contiguous in both."""
    strides = [
        torch.empty(weight.shape, device="meta", memory_format=kind).stride()
        for kind in (torch.channels_last, torch.contiguous_format)
    ]
    is_last = weight.layout is torch.strided and [weight.stride() == own for own in strides] == [True, False]
    return torch.channels_last if is_last else torch.contiguous_format


def _padding(conv: nn.Conv2d) -> Size | Sides | str:
    if isinstance(conv, PaddedConv2d):
        return conv.sides
    return conv.padding  # type: ignore[return-value]


def _class(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"

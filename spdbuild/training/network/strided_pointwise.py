"""Strided 1x1 convolutions of few channels, as training on a CPU computes them.

With the channels innermost in memory, oneDNN writes past the end of a buffer in the gradient of the weights of such a
layer if it reads fewer channels than a vector of AVX2 holds (github.com/uxlfoundation/oneDNN/issues/6035): wrong
numbers, a crash, or a loop without end. The same layer without stride on every n-th pixel takes another kernel.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from spdbuild.nn.convolution import PaddedConv2d
from spdbuild.shape import Sides

#: Numbers in a vector of AVX2.
_VECTOR = 8

_NO_SIDES = ((0, 0), (0, 0))


def without_strides(model: nn.Module) -> list[str]:
    """Let the layers concerned pick the pixels before they convolve, and return their names.

    The outputs stay the same; the weights and their names, too.
    """
    changed = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d) and _is_concerned(module):
            sides = module.sides if isinstance(module, PaddedConv2d) else _NO_SIDES
            module.register_forward_pre_hook(_Picking(module.stride, sides))
            module.stride = (1, 1)
            if isinstance(module, PaddedConv2d):
                module.sides = _NO_SIDES
            changed.append(name)
    return changed


def _is_concerned(layer: nn.Conv2d) -> bool:
    pointwise = layer.kernel_size == (1, 1) and layer.padding == (0, 0) and layer.groups == 1
    return pointwise and max(layer.stride) > 1 and layer.in_channels < _VECTOR


@dataclass(frozen=True)
class _Picking:
    """A hook that passes every n-th row and column of (N, C, H, W) on, after zeros on each of the sides."""

    stride: tuple[int, ...]
    sides: Sides

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        if self.sides != _NO_SIDES:
            vertical, horizontal = self.sides
            x = F.pad(x, (*horizontal, *vertical))
        rows, columns = self.stride
        return (x[..., ::rows, ::columns],)

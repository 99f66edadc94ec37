"""A convolution whose padding differs between the sides."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from spdbuild.shape import Sides, Size


class PaddedConv2d(nn.Conv2d):
    """torch.nn.Conv2d with a separate number of zeros on each side; the same parameters under the same names.

    Input (N, C, H, W), output (N, out, H', W').

    padding: ((top, bottom), (left, right)), in pixels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Sides = ((0, 0), (0, 0)),
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        **factory: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, 0, dilation, groups, bias, **factory)
        self.sides = padding

    def forward(self, x: Tensor) -> Tensor:
        vertical, horizontal = self.sides
        return super().forward(F.pad(x, (*horizontal, *vertical)))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, sides={self.sides}"  # type: ignore[no-untyped-call]

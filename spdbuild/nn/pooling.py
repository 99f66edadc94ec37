"""Pooling that torch has no module for."""

from __future__ import annotations

from torch import Tensor, nn


class _GlobalPool2d(nn.Module):
    def __init__(self, keep_size: bool = False) -> None:
        super().__init__()
        self.keep_size = keep_size

    def extra_repr(self) -> str:
        return f"keep_size={self.keep_size}"


class GlobalAvgPool2d(_GlobalPool2d):
    """Average over the whole image: (N, C, H, W) -> (N, C), or (N, C, 1, 1) with keep_size."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=self.keep_size)


class GlobalMaxPool2d(_GlobalPool2d):
    """Maximum over the whole image: (N, C, H, W) -> (N, C), or (N, C, 1, 1) with keep_size."""

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3), keepdim=self.keep_size)

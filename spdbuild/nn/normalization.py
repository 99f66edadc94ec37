"""Norms and scales over the channels of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerNorm2d(nn.LayerNorm):
    """LayerNorm over the channels of each position: (N, C, H, W) -> (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.permute(0, 2, 3, 1)  # [N, H, W, C]
        normed = F.layer_norm(channels_last, self.normalized_shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


class LayerScale2d(nn.Module):
    """One learned factor for each channel: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int, initial: float = 1e-6) -> None:
        super().__init__()
        self.initial = initial
        self.weight = nn.Parameter(torch.empty(channels, 1, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.weight, self.initial)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, initial={self.initial}"

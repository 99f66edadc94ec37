"""Merging and splitting as modules, so that every line of an architecture is a module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, mul

import torch
from torch import Tensor, nn


class Add(nn.Module):
    """The sum of its inputs."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return reduce(add, inputs)


class Mul(nn.Module):
    """The product of its inputs; a vector (N, C) counts as an image (N, C, 1, 1) among images."""

    def forward(self, *inputs: Tensor) -> Tensor:
        axes = max(x.ndim for x in inputs)
        return reduce(mul, [x.reshape(*x.shape, *[1] * (axes - x.ndim)) for x in inputs])


class Concat(nn.Module):
    """Its inputs, concatenated along the channels."""

    def forward(self, *inputs: Tensor) -> Tensor:
        return torch.cat(inputs, 1)


class Split(nn.Module):
    """Consecutive parts of the channels; `sizes` are the channels of each."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.split(x, self.sizes, 1)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}"

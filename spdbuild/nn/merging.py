"""Merging and splitting as modules, so that every line of an architecture is a module."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, mul

import torch
from torch import Tensor, nn

from spdbuild.errors import ShapeError
from spdbuild.wording.quantities import shapes_text

#: What helps where the maps of a network do not meet.
_SIZES = "height and width of the images must be multiples of the network's coarsest stride, which is 32 for YOLOv5"


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
    """Its inputs, concatenated along the channels; ShapeError where they differ in height or width."""

    def forward(self, *inputs: Tensor) -> Tensor:
        try:
            return torch.cat(inputs, 1)
        except RuntimeError as error:
            # Shapes that are compared beforehand would become conditions of an exported or compiled network.
            # A compiler traces no errors of ours, and tells torch's own.
            if torch.compiler.is_compiling() or len({tuple(x.shape[2:]) for x in inputs}) == 1:
                raise
            shapes = " and ".join(shapes_text([x.shape[1:]]) for x in inputs)
            raise ShapeError(
                f"concat: inputs must have the same height and width, got {shapes}", hint=_SIZES
            ) from error


class Split(nn.Module):
    """Consecutive parts of the channels; `sizes` are the channels of each."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = list(sizes)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return torch.split(x, self.sizes, 1)

    def extra_repr(self) -> str:
        return f"sizes={self.sizes}"

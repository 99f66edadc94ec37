"""Rotation about the centre."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS
from spdbuild.data.draws import Draws
from spdbuild.ranges import require_range


@AUGMENTATIONS.register
@dataclass(frozen=True)
class Rotation:
    """Turn each image about its centre by a random angle; every pixel takes the nearest one, or black from outside.

    degrees: the angle is between -degrees and degrees.
    """

    degrees: float = 15.0
    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "degrees", least=0, most=180)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        return rotated(images, draws.uniform(-self.degrees, self.degrees)), labels

    @classmethod
    def example(cls) -> Rotation:
        return cls(degrees=90.0)


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Each image turned counter-clockwise by its own angle, float32 [N]."""
    height, width = images.shape[-2:]
    angle = (degrees * (math.pi / 180)).view(-1, 1, 1)
    cosine, sine = angle.cos(), angle.sin()
    y = (torch.arange(height, device=images.device) - (height - 1) / 2).view(1, -1, 1)
    x = (torch.arange(width, device=images.device) - (width - 1) / 2).view(1, 1, -1)
    # Rows point down, so the source of an output pixel is found by turning clockwise on the screen.
    column = (cosine * x - sine * y + (width - 1) / 2).round().long()  # [N, H, W]
    row = (sine * x + cosine * y + (height - 1) / 2).round().long()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    source = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    source = source.flatten(1)[:, None].expand(-1, images.shape[1], -1)  # [N, C, H * W]
    return images.flatten(2).gather(2, source).view(images.shape).masked_fill_(~inside[:, None], 0)

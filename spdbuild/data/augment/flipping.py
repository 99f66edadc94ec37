"""Mirror images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation, per_sample
from spdbuild.data.draws import Draws
from spdbuild.declaring.ranges import require_range


@dataclass(frozen=True)
class _Flip(Augmentation):
    """Base: reverse the pixels along one axis of [N, C, H, W] with `probability`."""

    axis: ClassVar[int]

    probability: float = 0.5

    def __post_init__(self) -> None:
        require_range(self, "probability", least=0, most=1)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        return torch.where(per_sample(draws.chance(self.probability)), images.flip(self.axis), images), labels


@AUGMENTATIONS.register
@dataclass(frozen=True)
class HorizontalFlip(_Flip):
    """Swap left and right with `probability`."""

    axis: ClassVar[int] = 3


@AUGMENTATIONS.register
@dataclass(frozen=True)
class VerticalFlip(_Flip):
    """Swap top and bottom with `probability`."""

    axis: ClassVar[int] = 2

"""Mirror images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS, per_sample
from spdbuild.data.draws import Draws
from spdbuild.ranges import require_range


@AUGMENTATIONS.register
@dataclass(frozen=True)
class HorizontalFlip:
    """Left and right change places with `probability`."""

    probability: float = 0.5
    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "probability", least=0, most=1)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        return torch.where(per_sample(draws.chance(self.probability)), images.flip(3), images), labels

    @classmethod
    def example(cls) -> HorizontalFlip:
        return cls()


@AUGMENTATIONS.register
@dataclass(frozen=True)
class VerticalFlip:
    """Top and bottom change places with `probability`."""

    probability: float = 0.5
    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "probability", least=0, most=1)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        return torch.where(per_sample(draws.chance(self.probability)), images.flip(2), images), labels

    @classmethod
    def example(cls) -> VerticalFlip:
        return cls()

"""Hide a part of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation, inside, per_sample
from spdbuild.data.draws import Draws
from spdbuild.declaring.ranges import require_growing, require_range
from spdbuild.errors import ArgumentError


@AUGMENTATIONS.register
@dataclass(frozen=True)
class RandomErasing(Augmentation):
    """Fill a random rectangle with one value in all channels.

    probability: that an image is changed.
    area: smallest and largest fraction of the image that is hidden.
    ratio: smallest and largest height / width of the rectangle.
    value: of the hidden pixels, on the scale 0..255 or, after mixup, 0..1.

    Source: Zhong et al. 2017, "Random Erasing Data Augmentation", arXiv:1708.04896, algorithm 1. A rectangle longer
    than the image is shortened; the algorithm draws again.
    """

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float = 0.0

    def __post_init__(self) -> None:
        require_range(self, "probability", "area", least=0, most=1)
        require_range(self, "ratio", above=0)
        require_range(self, "value")
        require_growing(self, "area", "ratio")

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        if images.dtype == torch.uint8 and not 0 <= self.value <= 255:
            raise ArgumentError(
                f"random_erasing cannot write {self.value} into pixels from 0 to 255",
                argument="value",
                hint="0 is black and 255 is white",
            )
        height, width = images.shape[-2:]
        area = draws.uniform(*self.area) * height * width
        ratio = draws.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])).exp()
        rows = (area * ratio).sqrt().round().clamp(max=height)
        columns = (area / ratio).sqrt().round().clamp(max=width)
        top = (draws.uniform() * (height - rows + 1)).floor()
        left = (draws.uniform() * (width - columns + 1)).floor()
        hidden = inside(top, left, top + rows, left + columns, height, width)
        hidden &= per_sample(draws.chance(self.probability))
        return torch.where(hidden, torch.full_like(images[:1], self.value), images), labels

    @classmethod
    def example(cls) -> RandomErasing:
        return cls(probability=1.0)

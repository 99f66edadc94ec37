"""Random changes of colour."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation, require_uint8
from spdbuild.data.augment.choosing import Change, change_each
from spdbuild.data.augment.colour import brightness, contrast, saturation
from spdbuild.data.augment.hue import hue
from spdbuild.data.draws import Draws
from spdbuild.declaring.ranges import require_range


@AUGMENTATIONS.register
@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """Random brightness, contrast, saturation and hue for each image, by torchvision's ColorJitter.

    brightness, contrast, saturation: factors are between 1 - x and 1 + x.
    hue: largest change, as a fraction of the colour circle, up to 0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        require_range(self, "brightness", "contrast", "saturation", least=0)
        require_range(self, "hue", least=0, most=0.5)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        require_uint8(images, "color_jitter")
        ranges = self._ranges()
        changes, numbers = list(ranges), [draws.on_cpu.uniform(*ends).tolist() for ends in ranges.values()]
        # Each image has its own order.
        orders = list(permutations(range(len(changes))))
        drawn = [orders[order] for order in draws.on_cpu.integers(len(orders)).tolist()]
        images = images.clone(memory_format=torch.contiguous_format)
        for place in range(len(changes)):
            choices = [order[place] for order in drawn]
            change_each(images, changes, choices, [numbers[choice][row] for row, choice in enumerate(choices)])
        return images, labels

    def _ranges(self) -> dict[Change, tuple[float, float]]:
        """The changes to make, each with the smallest and the largest number that it gets."""
        factors = {brightness: self.brightness, contrast: self.contrast, saturation: self.saturation}
        ranges: dict[Change, tuple[float, float]] = {
            change: (max(0.0, 1 - most), 1 + most) for change, most in factors.items() if most
        }
        return {**ranges, hue: (-self.hue, self.hue)} if self.hue else ranges

    @classmethod
    def example(cls) -> ColorJitter:
        return cls(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)

"""Policies of torchvision, which draw an operation for each image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torchvision.transforms import v2

from spdbuild.data.augment.augmentation import AUGMENTATIONS, require_uint8
from spdbuild.data.draws import Draws
from spdbuild.ranges import require_growing, require_range


@AUGMENTATIONS.register
@dataclass(frozen=True)
class TrivialAugment:
    """One operation of random strength for each image, by torchvision's TrivialAugmentWide.

    Source: Mueller and Hutter 2021, "TrivialAugment", arXiv:2103.10158.
    """

    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        require_uint8(images, "trivial_augment")
        return each(images, v2.TrivialAugmentWide(), draws), labels

    @classmethod
    def example(cls) -> TrivialAugment:
        return cls()


@AUGMENTATIONS.register
@dataclass(frozen=True)
class RandAugment:
    """Some operations of equal strength for each image, by torchvision's RandAugment.

    operations: how many after one another.
    magnitude: their strength, 0 to 30.

    Source: Cubuk et al. 2019, "RandAugment", arXiv:1909.13719.
    """

    operations: int = 2
    magnitude: int = 9
    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "operations", least=0)
        require_range(self, "magnitude", least=0, most=30)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        require_uint8(images, "rand_augment")
        return each(images, v2.RandAugment(self.operations, self.magnitude), draws), labels

    @classmethod
    def example(cls) -> RandAugment:
        return cls()


@AUGMENTATIONS.register
@dataclass(frozen=True)
class ColorJitter:
    """Random brightness, contrast, saturation and hue for each image, by torchvision's ColorJitter.

    brightness, contrast, saturation: factors are between 1 - x and 1 + x.
    hue: at most this part of the colour circle, up to 0.5.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "brightness", "contrast", "saturation", least=0)
        require_range(self, "hue", least=0, most=0.5)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        require_uint8(images, "color_jitter")
        jitter = v2.ColorJitter(self.brightness, self.contrast, self.saturation, self.hue)
        return each(images, jitter, draws), labels

    @classmethod
    def example(cls) -> ColorJitter:
        return cls(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)


@AUGMENTATIONS.register
@dataclass(frozen=True)
class RandomResizedCrop:
    """A random part of the image at a fixed size, by torchvision's RandomResizedCrop, bilinear with antialiasing.

    size: side of the result in pixels.
    area: smallest and largest part of the image.
    ratio: smallest and largest width in heights.

    Source: Szegedy et al. 2014, "Going Deeper with Convolutions", arXiv:1409.4842, section 6.
    """

    size: int
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    mixes: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "size", least=1)
        require_range(self, "area", above=0, most=1)
        require_range(self, "ratio", above=0)
        require_growing(self, "area", "ratio")

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        return each(images, v2.RandomResizedCrop(self.size, self.area, self.ratio), draws), labels

    @classmethod
    def example(cls) -> RandomResizedCrop:
        return cls(size=8)


def each(images: Tensor, transform: Callable[[Tensor], Tensor], draws: Draws) -> Tensor:
    """`transform` on one image after the other, with torch's global generator set for each and restored at the end."""
    seeds = draws.integers(2**62).tolist()
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, seeds, strict=True):
            # torch.manual_seed would also seed the generators of GPUs, which nothing restores.
            torch.default_generator.manual_seed(seed)
            changed.append(transform(image))
    return torch.stack(changed) if changed else images

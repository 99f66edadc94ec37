"""Policies that draw operations for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation, require_uint8
from spdbuild.data.augment.choosing import change_each
from spdbuild.data.augment.operations import STRENGTHS, Operation, operations_for, wide_operations
from spdbuild.data.draws import Draws
from spdbuild.declaring.ranges import require_range


@AUGMENTATIONS.register
@dataclass(frozen=True)
class TrivialAugment(Augmentation):
    """One operation of random strength for each image, by torchvision's TrivialAugmentWide.

    Source: Mueller and Hutter 2021, "TrivialAugment", arXiv:2103.10158.
    """

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        require_uint8(images, "trivial_augment")
        images = images.clone(memory_format=torch.contiguous_format)
        _change_by_one(images, wide_operations(), draws.on_cpu.integers(STRENGTHS).tolist(), draws)
        return images, labels


@AUGMENTATIONS.register
@dataclass(frozen=True)
class RandAugment(Augmentation):
    """Some operations of equal strength for each image, by torchvision's RandAugment.

    operations: how many, one after another.
    magnitude: their strength, 0 to 30.

    Source: Cubuk et al. 2019, "RandAugment", arXiv:1909.13719.
    """

    operations: int = 2
    magnitude: int = 9

    def __post_init__(self) -> None:
        require_range(self, "operations", least=0)
        require_range(self, "magnitude", least=0, most=30)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        require_uint8(images, "rand_augment")
        operations = operations_for(*images.shape[-2:])
        images = images.clone(memory_format=torch.contiguous_format)
        for _ in range(self.operations):
            _change_by_one(images, operations, [self.magnitude] * len(images), draws)
        return images, labels


def _change_by_one(images: Tensor, operations: Sequence[Operation], strengths: Sequence[int], draws: Draws) -> None:
    """Change each image in place by one of `operations`, all equally likely, with its strength and a random sign."""
    choices, signs = draws.on_cpu.integers(len(operations)).tolist(), draws.on_cpu.integers(2).tolist()
    numbers = [
        operations[choice].numbers[sign][strength]
        for choice, sign, strength in zip(choices, signs, strengths, strict=True)
    ]
    change_each(images, [operation.change for operation in operations], choices, numbers)

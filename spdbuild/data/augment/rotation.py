"""Rotation about the centre."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spdbuild.data.augment.affine import rotate
from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation
from spdbuild.data.augment.choosing import change_each
from spdbuild.data.draws import Draws
from spdbuild.declaring.ranges import require_range


@AUGMENTATIONS.register
@dataclass(frozen=True)
class Rotation(Augmentation):
    """Rotate each image about its centre by a random angle, with nearest-neighbour sampling and black outside.

    degrees: the angle is between -degrees and degrees.
    """

    degrees: float = 15.0

    def __post_init__(self) -> None:
        require_range(self, "degrees", least=0, most=180)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        images = images.clone(memory_format=torch.contiguous_format)
        degrees = draws.on_cpu.uniform(-self.degrees, self.degrees).tolist()
        change_each(images, [rotate], [0] * len(images), degrees)
        return images, labels

    @classmethod
    def example(cls) -> Rotation:
        return cls(degrees=90.0)

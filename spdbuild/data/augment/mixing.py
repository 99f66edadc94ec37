"""Images mixed from two, with the labels of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation, inside, per_sample, to_float
from spdbuild.data.draws import Draws
from spdbuild.declaring.ranges import require_range


@dataclass(frozen=True)
class Mixing(Augmentation):
    """An augmentation that changes images with some probability, by a weight drawn from Beta(alpha, alpha)."""

    alpha: float = 1.0
    probability: float = 1.0
    mixes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "alpha", above=0)
        require_range(self, "probability", least=0, most=1)


@AUGMENTATIONS.register
@dataclass(frozen=True)
class Mixup(Mixing):
    """A weighted mean of each image with the one before it in the batch, and of their labels.

    alpha: weights are drawn from Beta(alpha, alpha), for each sample; the larger alpha, the more equal they are.
    probability: that an image is changed.

    Source: Zhang et al. 2017, "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412, equation 1.
    """

    alpha: float = 0.2

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        weight = _weight(self.alpha, self.probability, draws)
        partners = draws.partners()
        images = to_float(images)
        mixed = torch.lerp(images[partners], images, per_sample(weight))
        return mixed, torch.lerp(labels[partners], labels, weight[:, None])

    @classmethod
    def example(cls) -> Mixup:
        return cls(alpha=1.0)


@AUGMENTATIONS.register
@dataclass(frozen=True)
class Cutmix(Mixing):
    """A rectangle of each image is replaced by that of the one before it in the batch; labels mix by area.

    alpha: the part that stays is drawn from Beta(alpha, alpha), for each sample.
    probability: that an image is changed.

    Source: Yun et al. 2019, "CutMix", arXiv:1905.04899, section 3.1.
    """

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        height, width = images.shape[-2:]
        half = (1 - _weight(self.alpha, self.probability, draws)).sqrt() / 2
        y, x = draws.uniform() * height, draws.uniform() * width
        top, bottom = (y - half * height).round(), (y + half * height).round()
        left, right = (x - half * width).round(), (x + half * width).round()
        cut = inside(top, left, bottom, right, height, width)
        partners = draws.partners()
        # The rectangle may reach beyond the edge, so the part that stays is counted.
        stays = 1 - cut.flatten(1).to(torch.float32).mean(1)
        return torch.where(cut, images[partners], images), torch.lerp(labels[partners], labels, stays[:, None])


@AUGMENTATIONS.register
@dataclass(frozen=True)
class MixupOrCutmix(Augmentation):
    """Either mixup or cutmix for each sample, each with probability 1/2; the alphas are those of the two."""

    mixup_alpha: float = 0.2
    cutmix_alpha: float = 1.0
    mixes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_range(self, "mixup_alpha", "cutmix_alpha", above=0)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        images = to_float(images)
        mixed_images, mixed_labels = Mixup(self.mixup_alpha)(images, labels, draws)
        cut_images, cut_labels = Cutmix(self.cutmix_alpha)(images, labels, draws)
        cut = draws.chance(0.5)
        return torch.where(per_sample(cut), cut_images, mixed_images), torch.where(
            cut[:, None], cut_labels, mixed_labels
        )


def _weight(alpha: float, probability: float, draws: Draws) -> Tensor:
    """The weight of each sample itself, [N]; 1 where it is left as it is."""
    return torch.where(draws.chance(probability), draws.beta(alpha), 1.0)

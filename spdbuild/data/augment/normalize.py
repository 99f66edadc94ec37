"""Pixels -> numbers with mean 0 and standard deviation 1."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import AUGMENTATIONS, Augmentation, to_float
from spdbuild.data.draws import Draws, sent
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError

Channels = tuple[float, float, float]

#: Mean and standard deviation of the training images' channels, on the scale 0..1. They are not tied to the data
#: sets: networks are trained with those of other images, such as ImageNet's.
STATISTICS: dict[str, tuple[Channels, Channels]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    # Eight digits, as in the released ResNet-SPD for CIFAR-10, which uses these.
    "cifar100": ((0.50707516, 0.48654887, 0.44091784), (0.26733429, 0.25643846, 0.27615047)),
    # On the scale 0..255 in the released ResNet-SPD for Tiny ImageNet.
    "tiny_imagenet": (
        (122.4786 / 255, 114.2755 / 255, 101.3963 / 255),
        (70.4924 / 255, 68.5679 / 255, 71.8127 / 255),
    ),
    # torchvision's reference models.
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    # Of the 1,437 training images of `digits`.
    "digits": ((0.3054, 0.3054, 0.3054), (0.3753, 0.3753, 0.3753)),
    # 0..1 -> -1..1.
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}

if TYPE_CHECKING:
    Known = str
else:
    Known = Literal[tuple(sorted(STATISTICS))]


@AUGMENTATIONS.register
@dataclass(frozen=True)
class Normalize(Augmentation):
    """Subtract the mean of each channel and divide by its standard deviation.

    statistics: a known data set whose numbers are used, instead of mean and std.
    mean, std: numbers on the scale 0..1, one for each of red, green and blue.
    """

    statistics: Known | None = None
    mean: Channels | None = None
    std: Channels | None = None
    random: ClassVar[bool] = False

    def __post_init__(self) -> None:
        given = (self.statistics is not None, self.mean is not None, self.std is not None)
        if given not in ((True, False, False), (False, True, True)):
            raise ArgumentError("normalize needs either statistics or both mean and std", argument="statistics")
        require_range(self, "mean", least=0)
        require_range(self, "std", above=0)
        for name in ("mean", "std"):
            values = getattr(self, name) or ()
            if any(value > 1 for value in values):
                divided = ", ".join(f"{value / 255:.4g}" for value in values)
                hint = f"divide numbers for pixels of 0..255 by 255: {name}: [{divided}]"
                raise ArgumentError(f"{name} must be at most 1, got {max(values):g}", argument=name, hint=hint)

    def __call__(self, images: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        if images.device not in self._held:
            self._held[images.device] = [self._constant(values, images.device) for values in self.constants()]
        mean, std = self._held[images.device]
        return (to_float(images) - mean).div_(std), labels

    @cached_property
    def _held(self) -> dict[torch.device, list[Tensor]]:
        """Mean and standard deviation by device, so that they are not copied there for every batch."""
        return {}

    def constants(self) -> tuple[Channels, Channels]:
        """Mean and standard deviation."""
        if self.statistics is not None:
            return STATISTICS[self.statistics]
        assert self.mean is not None
        assert self.std is not None
        return self.mean, self.std

    @staticmethod
    def _constant(values: Channels, device: torch.device) -> Tensor:
        # Tensors made in inference mode could not be used in a later backward pass.
        with torch.inference_mode(False):
            return sent(torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1), device)

    @classmethod
    def example(cls) -> Normalize:
        return cls(statistics="half")

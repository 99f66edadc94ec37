"""Test-time augmentation: one network looks at several views of each image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import log

import torch
from torch import Tensor, nn

from spdbuild.wording.phrases import number

#: The dimensions of images [N, C, H, W] that are turned round by a horizontal and by a vertical flip.
_ACROSS, _DOWN = 3, 2


@dataclass(frozen=True)
class FlipOptions:
    """Test-time augmentation: which views of an image are looked at, besides the image itself.

    Both flips make four views, and evaluation and predictions take as many times as long.
    Source: Krizhevsky et al. 2012, "ImageNet classification with deep convolutional neural networks", section 4.1.

    horizontal_flip: whether it is also looked at with left and right exchanged.
    vertical_flip: whether it is also looked at with top and bottom exchanged.
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False

    @property
    def views(self) -> int:
        """How many views there are, with the image itself."""
        return len(self.flips)

    @property
    def flips(self) -> tuple[tuple[int, ...], ...]:
        """The dimensions of images [N, C, H, W] that are turned round in each view; none in the first."""
        across = [(), (_ACROSS,)] if self.horizontal_flip else [()]
        down = [(), (_DOWN,)] if self.vertical_flip else [()]
        return tuple((*first, *second) for first, second in product(across, down))

    @property
    def told(self) -> list[str]:
        """Which views results are of, as a line, if it is not the image itself alone."""
        changes = self._changes()
        return [f"{number(self.views, 'view')} of each image: {', '.join(changes)}"] if changes else []

    def _changes(self) -> list[str]:
        """What views differ in from the image, in words."""
        flips = (("horizontal", self.horizontal_flip), ("vertical", self.vertical_flip))
        directions = [name for name, flipped in flips if flipped]
        return [f"{' and '.join(directions)} flip"] if directions else []


class MeanOfFlips(nn.Module):
    """A classifier that gives the logarithm of the mean of its probabilities for several views of an image.

    Input: [N, C, H, W]. Output: float32 [N, K], whose softmax is that mean.
    """

    def __init__(self, network: nn.Module, options: FlipOptions) -> None:
        super().__init__()
        self.network, self.flips = network, options.flips

    def forward(self, images: Tensor) -> Tensor:
        shares = torch.stack([self.network(view).float().log_softmax(dim=1) for view in self._views(images)])
        return shares.logsumexp(dim=0) - log(len(self.flips))

    def _views(self, images: Tensor) -> Iterator[Tensor]:
        for flipped in self.flips:
            yield images.flip(flipped) if flipped else images

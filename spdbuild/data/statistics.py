"""Numbers of a data set: how many images of each class, and what `normalize` needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from spdbuild.data.dataset import splits_of
from spdbuild.data.images import ImageSet
from spdbuild.data.loading import Loader

#: Images are read in batches of this size, or smaller ones that do not exceed this many values over all channels.
_BATCH, _PIXELS = 256, 2**26


@dataclass(frozen=True)
class SplitStatistics:
    """One split, as a network sees it.

    size: height and width in pixels. classes: images of each class. skipped: files that were left out.
    mean, std: of red, green and blue, on the scale 0..1.
    """

    images: int
    size: tuple[int, int]
    classes: dict[str, int]
    skipped: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def statistics(data_set: Any) -> dict[str, SplitStatistics]:
    """The numbers of each split; DataError where files cannot be used and `on_error` does not skip them."""
    return {split: _split_statistics(data_set.open(split)) for split in splits_of(data_set)}


def _split_statistics(images: ImageSet) -> SplitStatistics:
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    mean, std = channel_statistics(images)
    return SplitStatistics(
        images=len(images),
        size=images.size,
        classes=dict(zip(images.classes, counts, strict=True)),
        skipped=len(images.skipped),
        mean=mean,
        std=std,
    )


def channel_statistics(images: ImageSet) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of all pixels of a channel, on the scale 0..1."""
    total, squares = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    height, width = images.size
    several = max(min(_BATCH, _PIXELS // (3 * height * width)), 1)
    for batch, _ in Loader(images, several, shuffle=False, channels_last=False):
        pixels = batch.to(torch.float64)
        total += pixels.sum((0, 2, 3))
        squares += pixels.square().sum((0, 2, 3))
    count = len(images) * height * width
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())

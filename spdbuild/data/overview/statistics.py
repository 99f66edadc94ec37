"""Numbers of a data set: how many images of each class, and what `normalize` needs."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spdbuild.data.dataset import FileDataSet, Split, splits_of
from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.pixels import image_size
from spdbuild.data.files.decoding import BadFile
from spdbuild.data.files.images import ImageSet
from spdbuild.data.files.listing import Listing
from spdbuild.data.files.reading import Reading, refuse
from spdbuild.data.loading.loader import Loader
from spdbuild.errors import DataError

#: Images are read in batches of this size, or smaller ones that do not exceed this many values over all channels.
_BATCH, _PIXELS = 256, 2**26


@dataclass(frozen=True)
class SplitStatistics:
    """One split, as a network sees it.

    size: height and width in pixels; None if the images have several, of which no network sees any.
    sizes: the least height and width, and the largest. classes: images of each class.
    skipped: files that were left out.
    mean, std: of red, green and blue, on the scale 0..1; None if there is no size.
    """

    images: int
    size: tuple[int, int] | None
    sizes: tuple[tuple[int, int], tuple[int, int]]
    classes: dict[str, int]
    skipped: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None


def statistics(data_set: Any) -> dict[str, SplitStatistics]:
    """The numbers of each split; DataError where files cannot be used and `on_error` does not skip them."""
    return {split: _split_statistics(data_set, split) for split in splits_of(data_set)}


def _split_statistics(data_set: Any, split: Split) -> SplitStatistics:
    try:
        return _of_one_size(data_set.open(split))
    except DataError:
        if not isinstance(data_set, FileDataSet) or data_set.reading.size is not None:
            raise
        counted = _of_several_sizes(data_set.listing(split), data_set.reading)
        if counted is None:
            raise
        return counted


def _of_one_size(images: ImageSet) -> SplitStatistics:
    counts = images.labels.bincount(minlength=len(images.classes)).tolist()
    mean, std = channel_statistics(images)
    return SplitStatistics(
        images=len(images),
        size=images.size,
        sizes=(images.size, images.size),
        classes=dict(zip(images.classes, counts, strict=True)),
        skipped=len(images.skipped),
        mean=mean,
        std=std,
    )


def _of_several_sizes(listing: Listing, reading: Reading) -> SplitStatistics | None:
    """What can be counted by the heads of files; None if those that can be read have one size."""
    # Reading sizes is bound by the disk and not by the processor.
    with ThreadPoolExecutor(8) as pool:
        heads = list(pool.map(image_size, listing.paths))
    sizes = [head for head in heads if isinstance(head, tuple)]
    if len(set(sizes)) < 2:
        return None
    bad = [BadFile(Path(head.where), head.detail) for head in heads if isinstance(head, Finding)]
    refuse(listing, bad, reading)
    good = Counter(label for label, head in zip(listing.labels, heads, strict=True) if isinstance(head, tuple))
    heights, widths = zip(*sizes, strict=True)
    return SplitStatistics(
        images=len(sizes),
        size=None,
        sizes=((min(heights), min(widths)), (max(heights), max(widths))),
        classes={name: good[label] for label, name in enumerate(listing.classes)},
        skipped=len(bad),
        mean=None,
        std=None,
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

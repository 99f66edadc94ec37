"""Detection data as the training engine takes it: images with classes and a size, batches as (images, targets)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import to_float
from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.coco_json import to_coco
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.data.detection.table import NO_CLASS, DetectionSet
from spdbuild.data.detection.tiles import TileOptions, Tiles, cut


@dataclass(frozen=True)
class DetectionImages:
    """A data set, and the length in pixels that the longer side of its images, or of their tiles, is scaled to.

    tiling: how images are cut into tiles.
    annotated: which of the classes the data are annotated for, if not all; detections of others do not count.
    """

    dataset: DetectionSet
    long_side: int
    tiling: TileOptions = field(default_factory=TileOptions)
    annotated: tuple[int, ...] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.names

    @property
    def digest(self) -> str:
        return self.dataset.digest

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file of each image that has one; one file for all tiles of an image."""
        return tuple(image.path for image in self.dataset.images if image.path is not None)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image that costs are given for."""
        return self.long_side, self.long_side

    def __len__(self) -> int:
        return len(self.dataset)

    @cached_property
    def tiles(self) -> Tiles | None:
        """All tiles; None where no image is cut."""
        size, options = self.tiling.size, self.tiling
        if size is None or all(max(image.height, image.width) <= size for image in self.dataset.images):
            return None
        return cut(self.dataset, size, options.overlap, options.min_visible, options.whole)

    def renumbered(self, classes: tuple[str, ...]) -> DetectionImages:
        """The same with the numbers of `classes`, which include all of its own."""
        dataset = replace(self.dataset, **_renumbered(self.dataset, classes))
        numbers = tuple(map(classes.index, self.classes))
        return replace(self, dataset=dataset, annotated=numbers if len(numbers) < len(classes) else None)

    @property
    def seen(self) -> DetectionSet:
        """What a network looks at: the tiles, or the images."""
        return self.tiles.dataset if self.tiles else self.dataset

    def to_learn(self) -> DetectionImages:
        """The tiles that are worth learning from, as images of their own."""
        return DetectionImages(self.tiles.to_learn(self.tiling.background), self.long_side) if self.tiles else self

    @cached_property
    def ground_truth(self) -> dict[str, Any]:
        """The objects as a COCO document, without outlines, which do not matter for judging boxes."""
        return to_coco(self.dataset, outlines=False)


def _renumbered(dataset: DetectionSet, classes: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a data set that depend on the numbers of classes; classes that it lacks get new ids."""
    ids = dict(zip(dataset.names, dataset.category_ids, strict=True))
    fresh = itertools.count(max(ids.values()) + 1)
    # The last entry serves NO_CLASS, which is -1.
    numbers = np.array([*map(classes.index, dataset.names), NO_CLASS])
    objects = replace(dataset.objects, classes=numbers[dataset.objects.classes])
    return {
        "names": classes,
        "category_ids": tuple(ids[name] if name in ids else next(fresh) for name in classes),
        "objects": objects,
    }


class DetectionBatches:
    """A loader's batches on the device.

    training: whether targets are boxes [B, 6] for the loss; else they are the whole DetectionBatch for a meter.
    """

    def __init__(self, loader: DetectionLoader, device: torch.device, *, training: bool, channels_last: bool) -> None:
        self.loader, self.device, self.training = loader, device, training
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        self.loader.set_epoch(epoch, start_batch)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor | DetectionBatch]]:
        for batch in self.loader:
            images = to_network(batch.images, self.device, self._format)
            yield images, batch.targets.to(self.device, non_blocking=True) if self.training else batch


def to_network(
    images: Tensor, device: torch.device, memory_format: torch.memory_format = torch.contiguous_format
) -> Tensor:
    """Images uint8 [N, 3, H, W] as numbers from 0 to 1 on the device: all that the published networks need."""
    return to_float(images.to(device, non_blocking=True).contiguous(memory_format=memory_format))

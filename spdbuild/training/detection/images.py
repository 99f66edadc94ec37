"""Detection data as the training engine takes it: images with classes and a size, batches as (images, targets)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spdbuild.data.augment.augmentation import to_float
from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.coco_json import to_coco
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.detection.tiles import TileOptions, Tiles, cut


@dataclass(frozen=True)
class DetectionImages:
    """A data set, and the length in pixels that the longer side of its images, or of their windows, is scaled to.

    tiling: how images are cut into windows.
    """

    dataset: DetectionSet
    long_side: int
    tiling: TileOptions = field(default_factory=TileOptions)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.dataset.names

    @property
    def digest(self) -> str:
        return self.dataset.digest

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image that costs are given for."""
        return self.long_side, self.long_side

    def __len__(self) -> int:
        return len(self.dataset)

    @cached_property
    def tiles(self) -> Tiles | None:
        """All windows; None where no image is cut."""
        size, options = self.tiling.size, self.tiling
        if size is None or all(max(image.height, image.width) <= size for image in self.dataset.images):
            return None
        return cut(self.dataset, size, options.overlap, options.min_visible, options.whole)

    @property
    def seen(self) -> DetectionSet:
        """What a network looks at: the windows, or the images."""
        return self.tiles.dataset if self.tiles else self.dataset

    def to_learn(self) -> DetectionImages:
        """The windows that are worth learning from, as images of their own."""
        return DetectionImages(self.tiles.to_learn(self.tiling.background), self.long_side) if self.tiles else self

    @cached_property
    def ground_truth(self) -> dict[str, Any]:
        """The objects as a document of COCO, without their outlines, by which boxes are not judged."""
        return to_coco(self.dataset, outlines=False)


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
    """Images uint8 [N, 3, H, W] as numbers from 0 to 1 on the device: all that the published networks ask for."""
    return to_float(images.to(device, non_blocking=True).contiguous(memory_format=memory_format))

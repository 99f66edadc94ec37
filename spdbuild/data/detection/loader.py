"""Batches for training and evaluating detectors: in what order, at what size, for which process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.fetch import Fetcher, Plan
from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.raster import resolve
from spdbuild.data.detection.store import Cache, open_store
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.draws import generator
from spdbuild.data.letterbox import rectangular_sizes
from spdbuild.data.loading.batching import batch_count, check_batches
from spdbuild.data.loading.order import epoch_order, repeats
from spdbuild.data.loading.workers import Workers
from spdbuild.errors import ArgumentError, DataError, RecipeError

#: Height and width of a batch are multiples of this many pixels.
MULTIPLE = 32


class DetectionLoader:
    """Batches of a `DetectionSet`, with the order and the shares of the classification loader.

    They are the same, bit for bit, for any number of workers, and after `set_epoch(epoch, start_batch)` those that an
    uninterrupted epoch would have given. Of every batch, process `rank` of `world` gets the images at positions
    rank, rank + world, ...: all processes together have the batch that a single one would have. Without shuffling each
    image comes once; a last batch smaller than `world` is empty on some ranks.

    batch: images per step over all processes.
    size: length in pixels that the longer side of an image is scaled to; a multiple of 32.
    augment: None letterboxes the images and records where they were placed, for evaluation.
    weights: float64 [images]; shuffled epochs have an image in proportion to its weight, also as a partner from
        anywhere in a mosaic, and without weights each once.
    epochs: of the whole training; `close_mosaic` counts from its end.
    rectangular: without augmentation, batches of images of similar aspect ratio, at the smallest size that holds them.
    pad: what is added to each side of a rectangular batch before it is rounded up, in multiples of 32.
    workers: processes that decode and augment; 0 does so in this one.
    cache: whether images at `size` are kept, in memory or in a file in `cache_folder`; "auto" keeps what was decoded
        as long as there is memory for it.
    """

    def __init__(
        self,
        dataset: DetectionSet,
        batch: int,
        size: int,
        *,
        augment: DetectionAugmentation | None = None,
        shuffle: bool = False,
        weights: Tensor | None = None,
        seed: int = 0,
        epochs: int | None = None,
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        drop_last: bool = False,
        rectangular: bool = False,
        pad: float = 0.5,
        cache: Cache = "auto",
        cache_folder: Path | None = None,
        pin_memory: bool = False,
    ) -> None:
        self.dataset, self.batch, self.size, self.augment = dataset, batch, size, augment
        self.shuffle, self.weights, self.seed, self.epochs = shuffle, weights, seed, epochs
        self.rank, self.world, self.drop_last = rank, world, drop_last
        self.epoch = self.start_batch = 0
        self._check(rectangular)
        self._order, self._shapes = np.arange(len(dataset)), [(size, size)] * len(self)
        if rectangular:
            sizes = [(image.height, image.width) for image in dataset.images]
            order, self._shapes = rectangular_sizes(sizes, size, batch, MULTIPLE, pad)
            self._order = np.array(order)
        fetcher = Fetcher(dataset, open_store(dataset, size, cache, cache_folder, world), size, seed, weights)
        self._workers = Workers(fetcher.fetch, workers, pin_memory=pin_memory)

    def _check(self, rectangular: bool) -> None:
        if self.size % MULTIPLE or self.size < MULTIPLE:
            nearest = max(1, round(self.size / MULTIPLE)) * MULTIPLE
            raise RecipeError(
                f"the image size must be a multiple of {MULTIPLE}, got {self.size}", hint=f"use {nearest}"
            )
        if rectangular and (self.shuffle or self.augment is not None):
            raise RecipeError("rectangular batches are neither shuffled nor augmented")
        if self.augment is not None:
            # Here and not where it is needed: an exception from a worker process would arrive as another type.
            resolve(self.augment.backend)
            self._check_outlines(self.augment)
        check_batches(len(self.dataset), self.batch, self.world, shuffle=self.shuffle, drop_last=self.drop_last)

    def _check_outlines(self, augment: DetectionAugmentation) -> None:
        outlines = self.dataset.objects.outlines
        if augment.copy_paste and not outlines.present(np.arange(len(outlines))).any():
            message = (
                f"copy_paste={augment.copy_paste:g} pastes objects along their outlines, and the images have boxes only"
            )
            raise ArgumentError(message, argument="copy_paste", hint="set copy_paste to 0")

    def __len__(self) -> int:
        """The number of batches in a whole epoch."""
        return batch_count(len(self.dataset), self.batch, self.drop_last)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Let the next iteration give `epoch` from batch `start_batch` on."""
        self.epoch, self.start_batch = epoch, start_batch

    def __iter__(self) -> Iterator[DetectionBatch]:
        for batch in self._workers.batches(self.plans()):
            if isinstance(batch, Finding):
                raise DataError(str(batch), hint="mend or remove it, or skip such images with on_error: skip")
            yield batch

    def plans(self) -> Iterator[Plan]:
        """This process's part of each batch that is left of the epoch."""
        order = torch.from_numpy(self._order)
        if self.shuffle:
            order = epoch_order(len(order), self.seed, self.epoch, self.weights)
        before = repeats(order)
        options = self.augment.at(self.epoch, self.epochs) if self.augment is not None else None
        for index in range(self.start_batch, len(self)):
            batch = slice(index * self.batch, (index + 1) * self.batch)
            members = tuple(order[batch].tolist())
            own = slice(self.rank, None, self.world)
            again = tuple(before[batch][own].tolist())
            yield Plan(members[own], again, self._shape(index, options), members, self.epoch, options)

    def _shape(self, index: int, options: DetectionAugmentation | None) -> tuple[int, int]:
        if options is None or not options.multi_scale:
            return self._shapes[index]
        bounds = [self.size * factor / MULTIPLE for factor in (1 - options.multi_scale, 1 + options.multi_scale)]
        low, high = max(1, round(bounds[0])), round(bounds[1])
        side = int(torch.randint(low, high + 1, (), generator=generator("size", self.seed, self.epoch, index)))
        return side * MULTIPLE, side * MULTIPLE

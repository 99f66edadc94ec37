"""The work on one batch, done in a worker process: read, augment or letterbox, stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from spdbuild.data.detection.augment import Augmenter
from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.pixels import size_at
from spdbuild.data.detection.raster import Raster, open_raster
from spdbuild.data.detection.store import Store
from spdbuild.data.detection.table import DetectionSet, Pixels
from spdbuild.data.letterbox import Letterbox
from spdbuild.data.loading.order import epoch_order


class ImageLabels:
    """For each position the objects to be learned, in pixels of the image at the training size, clipped to its border.

    long_side: length in pixels of the longer side of an image at the training size.
    """

    def __init__(self, dataset: DetectionSet, long_side: int) -> None:
        sizes = np.array([(image.width, image.height) for image in dataset.images], np.float64).reshape(-1, 2)
        scaled = np.array([size_at(image, long_side)[::-1] for image in dataset.images], np.float64).reshape(-1, 2)
        objects, image = dataset.objects, dataset.image_index
        boxes = np.clip(objects.boxes_xyxy, 0, np.tile(sizes, 2)[image])
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        rows = np.flatnonzero(dataset.trainable & inside)
        factors = (scaled / sizes)[image[rows]]
        places = np.concatenate((factors, np.zeros_like(factors)), axis=1)
        self._labels = Labels(boxes[rows] * np.tile(factors, 2), objects.classes[rows], places, objects.outlines, rows)
        self._first = np.searchsorted(image[rows], np.arange(len(dataset) + 1))

    def __getitem__(self, index: int) -> Labels:
        return self._labels.take(slice(self._first[index], self._first[index + 1]))


@dataclass(frozen=True)
class Plan:
    """The part of a batch that one process handles.

    samples: positions in the data set of this process's images.
    repeats: how often the epoch has had each of them before.
    shape: height and width of the batch in pixels.
    members: positions of the images of the whole batch, over all processes.
    epoch: 0-based; with the sample's position, its repeats and the seed it determines all random numbers.
    options: augmentation; None letterboxes.
    """

    samples: tuple[int, ...]
    repeats: tuple[int, ...]
    shape: tuple[int, int]
    members: tuple[int, ...]
    epoch: int
    options: DetectionAugmentation | None


class _UnreadableError(Exception):
    """An image that cannot be read."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


class Fetcher:
    """Makes batches on request; holds what all of them share.

    size: length in pixels of the longer side of the images in `store`.
    weights: how often an epoch has each image, as `epoch_order` takes them.
    """

    def __init__(
        self, dataset: DetectionSet, store: Store, size: int, seed: int, weights: Tensor | None = None
    ) -> None:
        self._dataset, self._store, self._size, self._seed = dataset, store, size, seed
        self._weights = weights
        self._drawn: tuple[int, list[int]] = (-1, [])
        self._labels = ImageLabels(dataset, size)
        self._raster: Raster | None = None

    def fetch(self, plan: Plan) -> DetectionBatch | Finding:
        """A finding is returned, not raised: an exception from a worker process would arrive as another type."""
        try:
            if plan.options is None:
                return self._letterboxed(plan)
            # Partners from anywhere rarely occur twice in a batch, and all of them together would fill the memory.
            read = cache(self.read) if plan.options.partners == "batch" else self.read
            return self._augmented(plan, plan.options, read)
        except _UnreadableError as error:
            return error.finding

    def read(self, index: int) -> tuple[Pixels, Labels]:
        """The image at a position at the training size, and the objects to be learned from it, clipped to the image."""
        pixels = self._store[index]
        if isinstance(pixels, Finding):
            raise _UnreadableError(pixels)
        return pixels, self._labels[index]

    def _augmented(
        self, plan: Plan, options: DetectionAugmentation, read: Callable[[int], tuple[Pixels, Labels]]
    ) -> DetectionBatch:
        pool = plan.members if options.partners == "batch" else self._anywhere(plan.epoch)
        if self._raster is None:
            # Opened only now, so that each worker process has its own.
            self._raster = open_raster(options.backend)
        augmenter = Augmenter(read, pool, options, self._size, self._raster)
        samples = []
        for index, repeat in zip(plan.samples, plan.repeats, strict=True):
            key = (self._seed, plan.epoch, index)
            samples.append(augmenter.sample(index, np.random.default_rng((*key, repeat) if repeat else key)))
        batch = self._stack(plan, samples, (self._size, self._size))
        if plan.shape == (self._size, self._size) or not samples:
            return batch
        images = interpolate(batch.images, size=plan.shape, mode="bilinear")
        return DetectionBatch(images, batch.targets, batch.indices)

    def _anywhere(self, epoch: int) -> Sequence[int]:
        """The positions of all images, as often as an epoch has them."""
        if self._weights is None:
            return range(len(self._dataset))
        if self._drawn[0] != epoch:
            self._drawn = epoch, epoch_order(len(self._dataset), self._seed, epoch, self._weights).tolist()
        return self._drawn[1]

    def _letterboxed(self, plan: Plan) -> DetectionBatch:
        samples, letterboxes = [], []
        for index in plan.samples:
            pixels, labels = self.read(index)
            record = self._dataset.images[index]
            box = Letterbox.fit((pixels.shape[0], pixels.shape[1]), plan.shape, upscale=False)
            image = box.apply(torch.from_numpy(pixels).permute(2, 0, 1)).permute(1, 2, 0).numpy()
            samples.append((image, labels.scaled(*box.scale).shifted(np.array((box.left, box.top)))))
            gain = box.gain * self._size / max(record.height, record.width)
            letterboxes.append(
                Letterbox((record.height, record.width), plan.shape, gain, box.resized, box.left, box.top)
            )
        batch = self._stack(plan, samples, plan.shape)
        return DetectionBatch(batch.images, batch.targets, batch.indices, tuple(letterboxes))

    def _stack(self, plan: Plan, samples: list[tuple[Pixels, Labels]], shape: tuple[int, int]) -> DetectionBatch:
        images = np.empty((len(samples), 3, *shape), np.uint8)
        for position, (image, _) in enumerate(samples):
            images[position] = image.transpose(2, 0, 1)
        targets = [_targets(position, labels, shape) for position, (_, labels) in enumerate(samples)]
        return DetectionBatch(
            torch.from_numpy(images),
            torch.from_numpy(np.concatenate([np.zeros((0, 6), np.float32), *targets])),
            torch.tensor(plan.samples, dtype=torch.int64),
        )


def _targets(
    position: int, labels: Labels, shape: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    low, high = labels.boxes_xyxy[:, :2], labels.boxes_xyxy[:, 2:]
    size = np.array((shape[1], shape[0]))
    targets = np.empty((len(labels), 6), np.float32)
    targets[:, 0], targets[:, 1] = position, labels.classes
    targets[:, 2:4], targets[:, 4:] = (low + high) / 2 / size, (high - low) / size
    return targets

"""Batches of images: in what order, for which process, decoded where, augmented how."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from spdbuild.data.augment.augmentation import Augmentation, to_float
from spdbuild.data.draws import Draws, generator, sent
from spdbuild.data.files.decoding import BadFile
from spdbuild.data.files.images import ArrayImages, FileImages, ImageSet
from spdbuild.data.loading.batching import batch_count, check_batches, share_of
from spdbuild.data.loading.order import epoch_order
from spdbuild.data.loading.workers import Workers
from spdbuild.errors import DataError
from spdbuild.system.memory import require_memory
from spdbuild.wording.phrases import number


@dataclass(frozen=True)
class _Part:
    """The part of a batch that one process handles.

    index: position of the batch in its epoch.
    total: samples of the batch over all processes.
    rows: positions in the batch that this process reads; the first `own` are its share, the others their partners.
    samples: positions in the image set, one for each row.
    """

    index: int
    total: int
    rows: Tensor
    samples: Tensor
    own: int


class Loader:
    """Batches (images float32 [n, 3, H, W], labels int64 [n] or, after mixup and cutmix, float32 [n, K]).

    They are the same, bit for bit, for any number of workers, and after `set_epoch(epoch, start_batch)` those that an
    uninterrupted epoch would have given. Of every batch, process `rank` of `world` gets the samples at
    positions rank, rank + world, ...: all processes together have the batch that a single one would have. Without
    shuffling each sample comes once, in the order of the set; a last batch smaller than `world` is empty on some ranks.

    batch: samples per step over all processes.
    weights: float64 [images]; shuffled epochs have an image in proportion to its weight, and without weights each once.
    workers: processes that decode files; images in memory need none.
    drop_last: leave out an incomplete last batch.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch: int,
        *,
        shuffle: bool,
        weights: Tensor | None = None,
        seed: int = 0,
        augment: Sequence[Augmentation] = (),
        rank: int = 0,
        world: int = 1,
        workers: int = 0,
        drop_last: bool = False,
        device: torch.device | str = "cpu",
        channels_last: bool = True,
    ) -> None:
        self.image_set, self.batch, self.shuffle, self.seed = image_set, batch, shuffle, seed
        self.weights = weights
        self.augment, self.rank, self.world = tuple(augment), rank, world
        self.drop_last, self.device = drop_last, torch.device(device)
        self.epoch = self.start_batch = 0
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._mixing = sum(augmentation.mixes for augmentation in self.augment)
        self._pixels: _Memory | _Files
        if isinstance(image_set, ArrayImages):
            self._pixels = _Memory(image_set, self.device)
        else:
            _require_room(image_set, -(-min(batch, len(image_set)) // world), self.device)
            self._pixels = _Files(image_set, workers, self.device)
        check_batches(len(image_set), batch, world, shuffle=shuffle, drop_last=drop_last)

    def __len__(self) -> int:
        """The number of batches in a whole epoch."""
        return batch_count(len(self.image_set), self.batch, self.drop_last)

    def set_epoch(self, epoch: int, start_batch: int = 0) -> None:
        """Let the next iteration give `epoch` from batch `start_batch` on."""
        self.epoch, self.start_batch = epoch, start_batch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        # Workers run some batches ahead.
        parts, ahead = tee(self._parts())
        for part, images in zip(parts, self._pixels.read(part.samples for part in ahead), strict=True):
            yield self._finish(part, images)

    def _parts(self) -> Iterator[_Part]:
        count = len(self.image_set)
        order = torch.arange(count)
        if self.shuffle:
            order = epoch_order(count, self.seed, self.epoch, self.weights)
        for index in range(self.start_batch, len(self)):
            samples = order[index * self.batch : (index + 1) * self.batch]
            own = share_of(torch.arange(len(samples)), self.rank, self.world)
            rows = self._with_partners(own, len(samples))
            yield _Part(index, len(samples), rows, samples[rows], len(own))

    def _with_partners(self, own: Tensor, total: int) -> Tensor:
        """`own`, then the rows that each mixing augmentation needs besides: the one before, the one before that, ..."""
        if not self._mixing:
            return own
        wanted = [(own - step) % total for step in range(self._mixing + 1)]
        return torch.tensor(list(dict.fromkeys(torch.cat(wanted).tolist())), dtype=torch.long)

    def _finish(self, part: _Part, images: Tensor) -> tuple[Tensor, Tensor]:
        labels = sent(self.image_set.labels[part.samples], self.device)
        if self._mixing:
            labels = one_hot(labels, len(self.image_set.classes)).to(torch.float32)
        draws = Draws(generator("augment", self.seed, self.epoch, part.index), part.total, part.rows, self.device)
        for augmentation in self.augment:
            images, labels = augmentation(images, labels, draws)
        images = to_float(images)[: part.own]
        return images.contiguous(memory_format=self._format), labels[: part.own]


def _require_room(image_set: FileImages, batch: int, device: torch.device) -> None:
    """Refuse images if the `batch` that one process decodes at a time does not fit into memory."""
    height, width = image_set.size
    # One byte a value as decoded, and four as the network gets it, which another device holds in its own memory.
    each = 3 * height * width * (5 if device.type == "cpu" else 1)
    what = f"the pixels of {number(batch, 'image')} of {width}x{height}, a batch,"
    require_memory(batch * each, what, hint="a smaller batch, or smaller images")


class _Memory:
    """Pixels that are already on the device."""

    def __init__(self, image_set: ArrayImages, device: torch.device) -> None:
        self._images, self._device = image_set.images.to(device), device

    def read(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for samples in batches:
            yield self._images.index_select(0, sent(samples, self._device))


class _Files:
    """Pixels that worker processes decode."""

    def __init__(self, image_set: FileImages, workers: int, device: torch.device) -> None:
        self._device, self._advice_on = device, image_set.advice_on
        self._workers = Workers(image_set.read, workers, pin_memory=device.type == "cuda")

    def read(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        for images in self._workers.batches(samples.tolist() for samples in batches):
            if isinstance(images, BadFile):
                raise DataError(f"{images.path} {images.reason}", hint=self._advice_on(images))
            yield images.to(self._device, non_blocking=True)

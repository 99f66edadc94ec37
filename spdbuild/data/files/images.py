"""Images with labels: all in memory, or decoded from files when they are needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spdbuild.data.files.decoding import BadFile, OddSize, Resize, decode, lost_in_file
from spdbuild.data.files.levels import Levels
from spdbuild.wording.phrases import some

#: The number of files whose grey levels and bands are checked before use.
_LOOKED_AT = 8


@dataclass(frozen=True, eq=False)
class ArrayImages:
    """Images in memory.

    images: uint8 [N, 3, H, W].
    labels: int64 [N], positions in `classes`.
    skipped: files that were left out because they cannot be read.
    paths: a file for each image, if each has its own.
    levels: the values that became black and white in grey images of more than 8 bits.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    skipped: tuple[BadFile, ...] = ()
    paths: Sequence[Path] = ()
    levels: Levels = None

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """The file of an image, or its number."""
        return str(self.paths[index]) if self.paths else str(index)

    @cached_property
    def digest(self) -> str:
        """Equal for the same files below one folder, or the same pixels, with the same labels in the same order."""
        if self.paths:
            return _files_digest(self.paths, self.labels)
        return _digest(f"{tuple(self.images.shape)}".encode(), self.images.numpy(), self.labels.numpy())

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.images.shape[-2:]
        return int(height), int(width)


@dataclass(frozen=True, eq=False)
class FileImages:
    """Images in files, decoded when they are read.

    paths: a file for each label.
    labels: int64 [N], positions in `classes`.
    size: height and width in pixels that each image has once it is decoded.
    resize: how an image gets that size; None where all files must have it.
    levels: the values that become black and white in grey images of more than 8 bits.
    skipped: files that were left out because they cannot be read.
    advice: what to do about a file that cannot be read; odd_advice: about an image of another size.
    """

    paths: Sequence[Path]
    labels: Tensor
    classes: tuple[str, ...]
    size: tuple[int, int]
    resize: Resize | None = None
    levels: Levels = None
    skipped: tuple[BadFile, ...] = ()
    advice: str = "mend or remove it"
    odd_advice: str = "give it the size of the others"

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """The file of an image."""
        return str(self.paths[index])

    @cached_property
    def digest(self) -> str:
        """Equal for the same files below one folder, with the same labels in the same order."""
        return _files_digest(self.paths, self.labels)

    def advice_on(self, file: BadFile) -> str:
        """What to do about a file that `read` returned."""
        return self.odd_advice if isinstance(file, OddSize) else self.advice

    def read(self, indices: Sequence[int]) -> Tensor | BadFile:
        """The images at `indices`, uint8 [n, 3, H, W], or the first file that cannot be read.

        A bad file is returned, not raised: an exception from a worker process would arrive as another type.
        """
        images = np.empty((len(indices), 3, *self.size), np.uint8)
        for position, index in enumerate(indices):
            image = decode(self.paths[index], self.size, self.resize, self.levels)
            if isinstance(image, BadFile):
                return image
            images[position] = image
        return torch.from_numpy(images)


ImageSet = ArrayImages | FileImages


def _files_digest(paths: Sequence[Path], labels: Tensor) -> str:
    texts = [str(path) for path in paths]
    # What the first and the last path in alphabetical order share, all share.
    root = os.path.commonpath((min(texts), max(texts)))
    return _digest("\0".join(text.removeprefix(root) for text in texts).encode(), labels.numpy())


def _digest(*parts: bytes | NDArray[Any]) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).data)
    return digest.hexdigest()


def left_out(skipped: Sequence[BadFile], kept: int, purpose: str) -> list[str]:
    """A line that names the skipped files, beside a number of `kept` ones; no line if none was skipped.

    purpose: of the files, such as "to train on".
    """
    if not skipped:
        return []
    faults = some([f"{file.path} {file.reason}" for file in skipped], 5, "; ")
    return [f"left out of the files {purpose}, {len(skipped):,} of {len(skipped) + kept:,}: {faults}"]


def pixel_remarks(paths: Sequence[Path], levels: Levels, purpose: str) -> list[str]:
    """A line for each thing that one of a few files, spread over all, loses as 8-bit RGB.

    purpose: of the files, such as "to train on".
    """
    looked_at = paths[:: max(1, len(paths) // _LOOKED_AT)][:_LOOKED_AT]
    found: dict[str, str] = {}
    for path in looked_at:
        for what, words in lost_in_file(path, levels).items():
            found.setdefault(what, f"warning: of the images {purpose}, {path} {words}")
    return list(found.values())

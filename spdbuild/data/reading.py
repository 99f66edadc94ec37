"""Listed files -> an image set: in memory where it fits, otherwise decoded while training."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from spdbuild.data import cache
from spdbuild.data.cache import Decoded
from spdbuild.data.decoding import BadFile, OddSize, Resize, decode
from spdbuild.data.images import ArrayImages, FileImages, ImageSet
from spdbuild.data.listing import Listing
from spdbuild.errors import DataError

OnError = Literal["refuse", "skip"]

#: Fewer files are decoded as fast as a cache is looked up.
_CACHED_FROM = 1000

#: Below this mean length in bytes a file is decoded so quickly that threads only wait for one another: one thread
#: reads 16,000 of CIFAR's PNG files a second, two together 5,000.
_THREADED_FROM = 16_384


@dataclass(frozen=True)
class Reading:
    """How files become images.

    size: side in pixels to which images are resized; None if all have one size.
    resize: how (see `spdbuild.data.decoding.resized`).
    on_error: whether files that cannot be read are an error or are left out, and counted.
    memory_gib: image sets up to this size, in GiB of decoded pixels, are kept in memory.
    """

    size: int | None = None
    resize: Resize = "squash"
    on_error: OnError = "refuse"
    memory_gib: float = 2.0


def open_listing(listing: Listing, reading: Reading) -> ImageSet:
    """The images of `listing`; DataError names the files that cannot be used, if they are not to be skipped."""
    size = (reading.size, reading.size) if reading.size else _common_size(listing)
    resize = reading.resize if reading.size else None
    in_memory = 3 * size[0] * size[1] * len(listing.paths) <= reading.memory_gib * 2**30
    if not in_memory and reading.on_error == "refuse":
        # Faults are met when the file is read: looking for them first would decode everything twice.
        return FileImages(
            listing.paths,
            torch.tensor(listing.labels),
            listing.classes,
            size,
            resize,
            advice="mend or remove it, or skip such files with on_error: skip",
        )
    decoded = _decode_listing(listing, size, resize, keep=in_memory)
    _refuse(listing, decoded.bad, reading.on_error)
    bad = {file.path for file in decoded.bad}
    good = [position for position, path in enumerate(listing.paths) if path not in bad]
    labels = torch.tensor([listing.labels[position] for position in good])
    if decoded.images is not None:
        return ArrayImages(torch.from_numpy(decoded.images), labels, listing.classes, decoded.bad)
    paths = [listing.paths[position] for position in good]
    return FileImages(paths, labels, listing.classes, size, resize, decoded.bad)


def _common_size(listing: Listing) -> tuple[int, int]:
    """Height and width of the first image that can be read."""
    faults = []
    for path in listing.paths:
        image = decode(path, None, None)
        if not isinstance(image, BadFile):
            return image.shape[1], image.shape[2]
        faults.append(image)
    raise DataError(
        f"none of the {len(faults)} files in {listing.root} can be used: {_name(listing, faults)}",
        hint=f"look at the first: file {faults[0].path}",
    )


def _refuse(listing: Listing, bad: Sequence[BadFile], on_error: OnError) -> None:
    odd = [file for file in bad if isinstance(file, OddSize)]
    if odd:
        raise DataError(
            f"the images in {listing.root} have different sizes: {_name(listing, odd)}",
            hint="give the side in pixels that all shall have, such as size: 64",
        )
    if bad and on_error == "refuse":
        raise DataError(
            f"{len(bad)} of {len(listing.paths)} files in {listing.root} cannot be used: {_name(listing, bad)}",
            hint="mend or remove them, or leave them out with on_error: skip",
        )
    if len(bad) == len(listing.paths):
        raise DataError(f"none of the {len(bad)} files in {listing.root} can be used: {_name(listing, bad)}")


def _name(listing: Listing, bad: Sequence[BadFile]) -> str:
    shown = "; ".join(f"{listing.name(file.path)} {file.reason}" for file in bad[:5])
    return shown + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")


def _decode_listing(listing: Listing, size: tuple[int, int], resize: Resize | None, keep: bool) -> Decoded:
    if len(listing.paths) < _CACHED_FROM:
        return decode_all(listing.paths, size, resize, keep)
    key = cache.cache_key(listing, size, resize, keep)
    decoded = cache.load(key, listing.paths)
    if decoded is None:
        decoded = decode_all(listing.paths, size, resize, keep)
        if not any(isinstance(file, OddSize) for file in decoded.bad):
            cache.save(key, listing.paths, decoded)
    return decoded


def decode_all(paths: Sequence[Path], size: tuple[int, int], resize: Resize | None, keep: bool) -> Decoded:
    """All images; without `keep` only the files that are bad."""
    images = np.empty((len(paths) if keep else 0, 3, *size), np.uint8)
    good, bad = 0, []
    for result in _decode_each(paths, size, resize):
        if isinstance(result, BadFile):
            bad.append(result)
        elif keep:
            images[good] = result
            good += 1
    return Decoded(images[:good] if keep else None, tuple(bad))


def _decode_each(
    paths: Sequence[Path], size: tuple[int, int], resize: Resize | None
) -> Iterator[NDArray[np.uint8] | BadFile]:
    one = partial(decode, size=size, resize=resize)
    first = [path.stat().st_size for path in paths[:100]]
    if sum(first) < _THREADED_FROM * len(first):
        yield from map(one, paths)
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from threads.map(one, paths)

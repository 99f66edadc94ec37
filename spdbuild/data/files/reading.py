"""Listed files -> an image set: in memory where it fits, otherwise decoded while training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from spdbuild.data.files import cache
from spdbuild.data.files.cache import Decoded
from spdbuild.data.files.decoding import BadFile, OddSize, Resize, decode, file_length
from spdbuild.data.files.images import ArrayImages, FileImages, ImageSet
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.listing import Listing
from spdbuild.data.files.pictures import Source, path_of
from spdbuild.errors import DataError
from spdbuild.shape import Size, pair
from spdbuild.system.memory import require_memory
from spdbuild.system.processors import processors
from spdbuild.wording.phrases import some

OnError = Literal["refuse", "skip"]

#: Fewer files than this are decoded as fast as a cache is looked up.
_CACHED_FROM = 1000

#: Below this mean length in bytes a file is decoded so quickly that threads only wait for one another: one thread
#: reads 16,000 of CIFAR's PNG files a second, two together 5,000.
_THREADED_FROM = 16_384

#: While an image is decoded, each pixel takes four bytes in Pillow and two copies of three.
_BYTES_PER_PIXEL = 4 + 3 + 3


@dataclass(frozen=True)
class Reading:
    """How files become images.

    size: (height, width) in pixels to which images are resized, or one number for both; None if all have one size.
    resize: how (see `spdbuild.data.files.decoding.resized`).
    levels: the values that become black and white in grey images of more than 8 bits.
    on_error: whether files that cannot be read are an error, or are left out and counted.
    memory_gib: image sets up to this size, in GiB of decoded pixels, are kept in memory.
    odd_advice: what to do about images of different sizes where `size` is None.
    """

    size: Size | None = None
    resize: Resize = "squash"
    on_error: OnError = "refuse"
    memory_gib: float = 2.0
    levels: Levels = None
    odd_advice: str = "give the side in pixels that all shall have, such as size: 64"

    @property
    def height_width(self) -> tuple[int, int] | None:
        """Height and width to which images are resized; None if all have one size."""
        return pair(self.size) if self.size else None


def open_listing(listing: Listing, reading: Reading) -> ImageSet:
    """The images of `listing`; DataError names the files that cannot be used, if they are not to be skipped."""
    size = reading.height_width or _common_size(listing, reading.levels)
    resize = reading.resize if reading.size else None
    what = f"the pixels of an image of {size[1]}x{size[0]}"
    require_memory(_BYTES_PER_PIXEL * size[0] * size[1], what, hint="a smaller size")
    in_memory = _fits(listing, size, reading)
    if not in_memory and reading.on_error == "refuse":
        # Bad files turn up when they are read: looking for them first would decode everything twice.
        return FileImages(
            listing.paths,
            torch.tensor(listing.labels),
            listing.classes,
            size,
            resize,
            reading.levels,
            advice="mend or remove it, or skip such files with on_error: skip",
            odd_advice=reading.odd_advice,
        )
    whole = listing.part_of
    if whole is not None and len(whole.paths) >= _CACHED_FROM and _fits(whole, size, reading) == in_memory:
        decoded = _part_of(_decode_listing(whole, size, resize, reading.levels, keep=in_memory), whole, listing)
    else:
        decoded = _decode_listing(listing, size, resize, reading.levels, keep=in_memory)
    refuse(listing, decoded.bad, reading)
    bad = {file.path for file in decoded.bad}
    good = [position for position, path in enumerate(listing.paths) if path not in bad]
    labels = torch.tensor([listing.labels[position] for position in good])
    paths = [listing.paths[position] for position in good]
    if decoded.images is not None:
        return ArrayImages(
            torch.from_numpy(decoded.images), labels, listing.classes, decoded.bad, paths, reading.levels
        )
    return FileImages(paths, labels, listing.classes, size, resize, reading.levels, decoded.bad)


def _fits(listing: Listing, size: tuple[int, int], reading: Reading) -> bool:
    """Whether images of a height and width are to be kept in memory."""
    return 3 * size[0] * size[1] * len(listing.paths) <= reading.memory_gib * 2**30


def _part_of(decoded: Decoded, whole: Listing, listing: Listing) -> Decoded:
    """Of the images of the `whole` a copy of those of a listing; DataError if there is no memory for them."""
    own, bad = {*listing.paths}, {file.path for file in decoded.bad}
    rows = [path in own for path in whole.paths if path not in bad]
    if decoded.images is not None:
        needed = sum(rows) * decoded.images[:1].nbytes
        require_memory(needed, f"the pixels of {sum(rows):,} images", hint="a smaller size, or a smaller memory_gib")
    images = None if decoded.images is None else decoded.images[np.array(rows, np.bool_)]
    return Decoded(images, tuple(file for file in decoded.bad if file.path in own))


def _common_size(listing: Listing, levels: Levels) -> tuple[int, int]:
    """Height and width of the first image that can be read."""
    faults = []
    for path in listing.paths:
        image = decode(path, None, None, levels)
        if not isinstance(image, BadFile):
            return image.shape[1], image.shape[2]
        faults.append(image)
    raise DataError(
        f"none of the {len(faults)} files in {listing.root} can be used: {_name(listing, faults)}",
        hint=f"look at the first: file {faults[0].path}",
    )


def refuse(listing: Listing, bad: Sequence[BadFile], reading: Reading) -> None:
    """Raise a DataError that names the `bad` files of a listing, unless they are to be skipped and others are left."""
    odd = [file for file in bad if isinstance(file, OddSize)]
    if odd:
        message = f"the images in {listing.root} have different sizes: {_name(listing, odd)}"
        raise DataError(message, hint=reading.odd_advice)
    if bad and reading.on_error == "refuse":
        raise DataError(
            f"{len(bad)} of {len(listing.paths)} files in {listing.root} cannot be used: {_name(listing, bad)}",
            hint="mend or remove them, or leave them out with on_error: skip",
        )
    if len(bad) == len(listing.paths):
        raise DataError(f"none of the {len(bad)} files in {listing.root} can be used: {_name(listing, bad)}")
    _refuse_lost_classes(listing, bad)


def _refuse_lost_classes(listing: Listing, bad: Sequence[BadFile]) -> None:
    """Refuse to skip all files of a class, which would leave the class without images."""
    paths = {file.path for file in bad}
    kept = {label for path, label in zip(listing.paths, listing.labels, strict=True) if path not in paths}
    lost = sorted(set(listing.labels) - kept)
    if not lost:
        return
    own = {path for path, label in zip(listing.paths, listing.labels, strict=True) if label == lost[0]}
    faults = _name(listing, [file for file in bad if file.path in own])
    raise DataError(
        f"the class '{listing.classes[lost[0]]}' has no file in {listing.root} that can be used: {faults}",
        hint="mend one of them, or leave the class out",
    )


def _name(listing: Listing, bad: Sequence[BadFile]) -> str:
    return some([f"{listing.name(file.path)} {file.reason}" for file in bad], 5, "; ")


def _decode_listing(
    listing: Listing, size: tuple[int, int], resize: Resize | None, levels: Levels, keep: bool
) -> Decoded:
    if len(listing.paths) < _CACHED_FROM:
        return _decode_now(listing, size, resize, levels, keep)
    key = cache.cache_key(listing, size, resize, levels, keep)
    decoded = cache.load(key, listing.paths, size if keep else None)
    if decoded is None:
        decoded = _decode_now(listing, size, resize, levels, keep)
        if not any(isinstance(file, OddSize) for file in decoded.bad):
            cache.save(key, listing.paths, decoded)
    return decoded


def _decode_now(listing: Listing, size: tuple[int, int], resize: Resize | None, levels: Levels, keep: bool) -> Decoded:
    """Decode without the cache; its pixels need no check of memory, because they are mapped."""
    if keep:
        needed = 3 * size[0] * size[1] * len(listing.paths)
        what = f"the pixels of {len(listing.paths):,} images of {size[1]}x{size[0]}"
        hint = f"a smaller size, or memory_gib below {needed / 2**30:.3g}: then files are decoded while training"
        require_memory(needed, what, hint=hint)
    return decode_all(listing.paths, size, resize, levels, keep)


def decode_all(
    paths: Sequence[Source], size: tuple[int, int], resize: Resize | None, levels: Levels, keep: bool
) -> Decoded:
    """Decode all images; without `keep`, return only the bad files."""
    images = np.empty((len(paths) if keep else 0, 3, *size), np.uint8)
    good, bad = 0, []
    for result in _decode_each(paths, size, resize, levels):
        if isinstance(result, BadFile):
            bad.append(result)
        elif keep:
            images[good] = result
            good += 1
    return Decoded(images[:good] if keep else None, tuple(bad))


def _decode_each(
    paths: Sequence[Source], size: tuple[int, int], resize: Resize | None, levels: Levels
) -> Iterator[NDArray[np.uint8] | BadFile]:
    one = partial(decode, size=size, resize=resize, levels=levels)
    first = [file_length(path_of(path)) or 0 for path in paths[:100]]
    if sum(first) < _THREADED_FROM * len(first):
        yield from map(one, paths)
        return
    with ThreadPoolExecutor(processors()) as threads:
        yield from threads.map(one, paths)

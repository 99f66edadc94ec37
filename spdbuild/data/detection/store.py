"""Where the images of a data set come from at the training size: decoded each time, or kept in memory or in a file."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from multiprocessing import Lock
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.pixels import load, size_at
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Pixels
from spdbuild.data.files.pixel_file import checksum, map_pixels, npy_header
from spdbuild.errors import DataError, SpdbuildError
from spdbuild.system.files import make_folder, remove_unfinished, write_whole
from spdbuild.system.locks import FolderLock
from spdbuild.system.memory import free_shared_memory
from spdbuild.system.processors import processors

Cache = Literal["auto", "none", "ram", "disk"]

_LOG = logging.getLogger("spdbuild.data")

#: Incremented whenever the pixels of the same file at the same size would come out differently, or their file would.
_VERSION = 3

#: How the checksum of an image is stored.
_SUM = np.dtype("<u4")

#: Share of the free memory that a cache may take: if it was asked for, and if images are kept by default. The
#: latter is taken for the training and for the validation images, and what they do not use stays free.
_MEMORY_SHARE, _UNASKED_SHARE = 0.8, 0.3


class Store(Protocol):
    """The images of a data set by position, uint8 [height, width, 3], at the training size."""

    def __getitem__(self, index: int) -> Pixels | Finding: ...


class Decoded:
    """Reads each image from its file when it is asked for."""

    def __init__(self, dataset: DetectionSet, size: int) -> None:
        self._dataset, self._size = dataset, size

    def __getitem__(self, index: int) -> Pixels | Finding:
        return load(self._dataset, index, self._size)


class Kept:
    """Reads an image from its file on first use, and keeps it in memory that worker processes share.

    room: bytes that images may take; those that do not fit are read each time.
    """

    def __init__(self, dataset: DetectionSet, size: int, room: int) -> None:
        self._files = Decoded(dataset, size)
        self._shapes = [(*size_at(image, size), 3) for image in dataset.images]
        self._first = packed_offsets(dataset, size)
        self._count = int(np.searchsorted(self._first, room, side="right")) - 1
        self._pixels = _shared(int(self._first[self._count]))
        self._done = _shared(self._count)
        # Without it, another process could see that an image is there before it sees the pixels.
        self._lock = Lock()

    def __getitem__(self, index: int) -> Pixels | Finding:
        if index >= self._count:
            return self._files[index]
        kept: Pixels = self._pixels[self._first[index] : self._first[index + 1]].numpy().reshape(self._shapes[index])
        done = self._done.numpy()
        with self._lock:
            if done[index]:
                return kept
        pixels = self._files[index]
        if isinstance(pixels, Finding):
            return pixels
        kept[:] = pixels
        with self._lock:
            done[index] = 1
        return kept


class Packed:
    """All images, one after another in one array, in memory that worker processes share or in a mapped file.

    pixels: uint8 [bytes of all images].
    """

    def __init__(self, dataset: DetectionSet, size: int, pixels: Tensor | MappedFile) -> None:
        self._shapes = [(*size_at(image, size), 3) for image in dataset.images]
        self._first = packed_offsets(dataset, size)
        self._pixels = pixels

    def __getitem__(self, index: int) -> Pixels:
        part: Pixels = self._pixels.numpy()[self._first[index] : self._first[index + 1]]
        return part.reshape(self._shapes[index])


class MappedFile:
    """The uint8 [count] of a file, mapped into memory. Raises as `map_pixels`."""

    def __init__(self, file: Path, count: int) -> None:
        self.file = file
        self._array: Pixels = map_pixels(file, (count,))

    def numpy(self) -> Pixels:
        return self._array


class Checked:
    """All images in a cache file, behind them their checksums; an image that does not have its own is decoded anew.

    That is looked at when a process first reads the image. The file is then removed, so that the next run writes it.
    A process to which it is sent gets no copy of the pixels but maps the file itself.
    """

    def __init__(self, dataset: DetectionSet, size: int, mapped: MappedFile) -> None:
        self._made_of = dataset, size, mapped.file, len(mapped.numpy())
        self._packed, self._files = Packed(dataset, size, mapped), Decoded(dataset, size)
        self._file = mapped.file
        self._sums = np.array(mapped.numpy()[int(packed_offsets(dataset, size)[-1]) :]).view(_SUM)
        self._sound = np.zeros(len(dataset), np.bool_)
        self._told = False

    def __getitem__(self, index: int) -> Pixels | Finding:
        pixels = self._packed[index]
        if self._sound[index] or checksum(pixels) == self._sums[index]:
            self._sound[index] = True
            return pixels
        self._tell()
        return self._files[index]

    def __reduce__(self) -> tuple[Callable[..., Store], tuple[DetectionSet, int, Path, int]]:
        return _mapped_again, self._made_of

    def _tell(self) -> None:
        if self._told:
            return
        self._told = True
        # On Windows a mapped file cannot be removed, and stays.
        with suppress(PermissionError):
            try:
                self._file.unlink()
            except FileNotFoundError:
                # Another process was first.
                return
        _LOG.warning("%s; they are decoded again, and the next run writes the file anew", _damaged(self._file))


class Chosen:
    """The images of a part of a data set, in a store of all of them."""

    def __init__(self, part: DetectionSet, whole: DetectionSet, store: Store) -> None:
        places = {image.name: index for index, image in enumerate(whole.images)}
        self._store, self._places = store, [places[image.name] for image in part.images]

    def __getitem__(self, index: int) -> Pixels | Finding:
        return self._store[self._places[index]]


def _mapped_again(dataset: DetectionSet, size: int, file: Path, count: int) -> Store:
    """The images of a cache file in another process; decoded anew where the file was found damaged meanwhile."""
    try:
        return Checked(dataset, size, MappedFile(file, count))
    except FileNotFoundError:
        return Decoded(dataset, size)


def open_store(
    dataset: DetectionSet, size: int, cache: Cache = "none", folder: Path | None = None, processes: int = 1
) -> Store:
    """The images with their longer side at `size` pixels.

    cache: "auto" keeps what has been decoded, as long as a part of the free memory suffices; "ram" decodes all of them
        now; "disk" does so once, until the data change, into a file in `folder`, with all images that these are a part
        of.
    processes: how many on this machine open the same images and share the memory for "auto".

    A DataError names an image that cannot be read, or says that memory or disk do not suffice.
    """
    if cache == "none":
        return Decoded(dataset, size)
    if cache == "auto":
        return Kept(dataset, size, int(free_shared_memory() * _UNASKED_SHARE / processes))
    if cache == "ram":
        count = int(packed_offsets(dataset, size)[-1])
        room = free_shared_memory() * _MEMORY_SHARE
        _require(count, room, "shared memory", "use cache: auto, disk or none, or a smaller size")
        pixels = _shared(count)
        _fill(dataset, size, pixels.numpy())
        return Packed(dataset, size, pixels)
    if folder is None:
        raise DataError("a cache on the disk needs a folder")
    if dataset.part_of is not None:
        return Chosen(dataset, dataset.part_of, _on_disk(dataset.part_of, size, folder))
    return _on_disk(dataset, size, folder)


def _on_disk(dataset: DetectionSet, size: int, folder: Path) -> Checked:
    """The images in their cache file, which is written if it is missing."""
    key = cache_key(dataset, size)
    file = folder / f"images-{key}.npy"
    length = int(packed_offsets(dataset, size)[-1]) + len(dataset) * _SUM.itemsize
    # Of several processes the first one writes, and the others use its file.
    with _locked(folder) as lock:
        if lock.held:
            # Nobody else is writing, so these are of programs that were killed.
            remove_unfinished(folder, "images-*")
        kept = _mapped(file, length)
        if kept is None:
            # Of the same images before some of them changed. Another process that has mapped the file keeps it.
            for older in folder.glob(f"images-{key.partition('-')[0]}-*.npy"):
                # On Windows a mapped file cannot be removed, and stays.
                with suppress(PermissionError):
                    older.unlink(missing_ok=True)
            _write(dataset, size, file, length)
            kept = _mapped(file, length)
    assert kept is not None
    return Checked(dataset, size, kept)


def _mapped(file: Path, length: int) -> MappedFile | None:
    """The uint8 [length] of a cache file; None if there is none, or it is not what was written."""
    try:
        return MappedFile(file, length)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        _LOG.warning("%s; decoding again", _damaged(file))
        return None


def _damaged(file: Path) -> str:
    return f"the cached images in {file} are damaged"


def _shared(count: int) -> Tensor:
    """uint8 [count] in memory that processes share; a page of it is allocated when it is first written to."""
    # Tensor.share_memory_ would copy the contents and so allocate all of it now.
    storage = torch.UntypedStorage._new_shared(max(count, 1))  # type: ignore[no-untyped-call]
    return torch.empty(0, dtype=torch.uint8).set_(storage)[:count]  # type: ignore[call-overload, no-any-return]


def packed_offsets(dataset: DetectionSet, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """int64 [N + 1], where each image starts in a packed array, in bytes."""
    lengths = [3 * height * width for height, width in (size_at(image, size) for image in dataset.images)]
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64)))


def cache_key(dataset: DetectionSet, size: int) -> str:
    """A name that changes with everything that pixels depend on: files and dates, sizes, order, size, and the decoder.

    The part before the hyphen stays the same for the first image, size and levels. Boxes and class names are not part
    of it: they are read anew each time.
    """
    import torchvision

    first = [(image.path and str(image.path.resolve()), _shape(image)) for image in dataset.images[:1]]
    begin = (size, dataset.levels, dataset.draw, first)
    state = hashlib.blake2b(repr((_VERSION, torchvision.__version__)).encode(), digest_size=12)
    for image in dataset.images:
        state.update(repr((*_shape(image), *_file_state(image.path))).encode())
    return f"{hashlib.blake2b(repr(begin).encode(), digest_size=6).hexdigest()}-{state.hexdigest()}"


def _shape(image: ImageRecord) -> tuple[str | int, ...]:
    return (image.name, image.width, image.height, *((image.left, image.top) if image.whole else ()))


def _file_state(path: Path | None) -> tuple[str | int, ...]:
    if path is None:
        return ()
    try:
        state = path.stat()
    except OSError:
        return (str(path), "missing")
    return (str(path.resolve()), state.st_size, state.st_mtime_ns)


def _decoded(dataset: DetectionSet, size: int) -> Generator[Pixels, None, None]:
    """All images in their order; DataError for one that cannot be read."""
    # Decoding releases the GIL.
    pool = ThreadPoolExecutor(processors())
    try:
        for image in pool.map(lambda index: load(dataset, index, size), range(len(dataset))):
            if isinstance(image, Finding):
                raise DataError(str(image), hint="mend or remove it, or skip such images with on_error: skip")
            yield image
    finally:
        # After an error the remaining images would be decoded for nothing.
        pool.shutdown(cancel_futures=True)


def _fill(dataset: DetectionSet, size: int, pixels: Pixels) -> None:
    with closing(_decoded(dataset, size)) as images:
        for (start, end), image in zip(pairwise(packed_offsets(dataset, size)), images, strict=True):
            pixels[start:end] = image.reshape(-1)


@contextmanager
def _locked(folder: Path) -> Iterator[FolderLock]:
    """A context with an exclusive lock among the machine's processes on this folder, which is created."""
    try:
        make_folder(folder, failure=DataError)
    except SpdbuildError as error:
        raise error.at(None, hint="name another folder with SPDBUILD_CACHE, or use cache: none") from None
    # Where folders cannot be locked, several processes write the same file, each a whole one.
    with FolderLock(folder) as lock:
        lock.get(wait=True)
        yield lock


def _write(dataset: DetectionSet, size: int, file: Path, length: int) -> None:
    """Write the cache file, whole or not at all."""
    room = shutil.disk_usage(file.parent).free
    _require(length, room, f"room in {file.parent}", "name another folder with SPDBUILD_CACHE, or use cache: none")
    write_whole(file, lambda partial: _fill_file(dataset, size, partial, length), failure=DataError)


def _fill_file(dataset: DetectionSet, size: int, file: Path, length: int) -> None:
    # Not by mapping the file: the system ends a process that writes to a map what the disk has no room for.
    with file.open("wb") as opened, closing(_decoded(dataset, size)) as images:
        opened.write(npy_header((length,)))
        sums = []
        for image in images:
            pixels = np.ascontiguousarray(image)
            opened.write(pixels.data)
            sums.append(checksum(pixels))
        opened.write(np.array(sums, _SUM).data)


def _require(needed: int, free: float, what: str, hint: str) -> None:
    if needed > free:
        raise DataError(f"the images need {needed / 1e9:.1f} GB of {what}, {free / 1e9:.1f} GB are free", hint=hint)

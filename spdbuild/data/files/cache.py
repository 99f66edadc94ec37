"""The cache of decoded images: one array, in a folder whose name stands for everything that the images depend on.

There is one entry for a data set and a way of reading it: a new one replaces that of the same first file, which was
written before some of the files changed.

The cache of detection (spdbuild.data.detection.store) shares the parent folder and nothing else. There an entry is one
file into which images of many sizes are decoded, one after another, because they need not fit into memory together;
here it is an array that was made in memory, a list of the bad files, and a checksum of both.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from spdbuild.data.files.decoding import BadFile, Resize
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.listing import Listing
from spdbuild.data.files.pixel_file import checksum, map_pixels
from spdbuild.errors import SpdbuildError
from spdbuild.system.files import remove_unfinished_folders, write_folder

#: Incremented whenever decoding or the files of an entry change, so that entries of older versions are not used.
_FORMAT = 2
_LOG = logging.getLogger("spdbuild.data")

#: The files of an entry: the images; and the position of each bad file, why it is one, and the checksum.
_IMAGES, _CONTENTS = "images.npy", "contents.json"

#: The end of a key: of what stays the same, and of the files' state.
_KEY = "-" + 12 * "[0-9a-f]" + "-" + 24 * "[0-9a-f]"


@dataclass(frozen=True)
class Decoded:
    """Images of the good files in their order, uint8 [N, 3, H, W] or None if not kept; and the bad files."""

    images: NDArray[np.uint8] | None
    bad: tuple[BadFile, ...]


def cache_folder() -> Path:
    """`SPDBUILD_CACHE`, else spdbuild's folder in the user's cache; for a user without a home, a temporary one."""
    if own := os.environ.get("SPDBUILD_CACHE"):
        return Path(own)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches, "spdbuild")
    try:
        return Path.home() / ".cache" / "spdbuild"
    except RuntimeError:
        # As of a container that runs under a number that it has no user for. Others may share the folder.
        return Path(tempfile.gettempdir(), f"spdbuild-{os.getuid()}")


def cache_key(listing: Listing, size: tuple[int, int] | None, resize: Resize | None, levels: Levels, keep: bool) -> str:
    """A name that changes with any file's name, length or date, and with everything that decoding depends on.

    All but its end stays the same for the first file, sizes and levels: the end stands for the state of the files.
    """
    place = hashlib.sha256(json.dumps([size, resize, levels, keep, str(listing.paths[0].resolve())]).encode())
    state = hashlib.sha256(json.dumps([_FORMAT, PIL.__version__]).encode())
    for path in listing.paths:
        state.update(f"\0{listing.name(path)}\0{_state(path)}".encode())
    return f"{listing.root.name}-{place.hexdigest()[:12]}-{state.hexdigest()[:24]}"


def _state(path: Path) -> str:
    """Length and modification time of a file; a placeholder if it does not exist, as with a broken link."""
    try:
        status = path.stat()
    except OSError:
        return "none"
    return f"{status.st_size}\0{status.st_mtime_ns}"


def load(key: str, paths: Sequence[Path], size: tuple[int, int] | None) -> Decoded | None:
    """What `save` wrote under `key`, or None; an array is mapped, so processes share one copy of it.

    size: height and width of the images; None if they are not kept.
    An entry that is not what was written is told and removed, so that it will be written anew.
    """
    folder = cache_folder() / key
    try:
        return _read(folder, paths, size) if folder.is_dir() else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        # A process may have too few addresses left to map a sound one.
        if not isinstance(error, OSError) or error.errno != errno.ENOMEM:
            reason = error.strerror if isinstance(error, OSError) else "they are damaged"
            _LOG.warning("the cached images in %s cannot be used: %s; decoding again", folder, reason)
            shutil.rmtree(folder, ignore_errors=True)
        return None


def _read(folder: Path, paths: Sequence[Path], size: tuple[int, int] | None) -> Decoded:
    """An entry; raises one of many errors if it is damaged."""
    contents = json.loads((folder / _CONTENTS).read_text(encoding="utf-8"))
    bad = contents["bad"]
    images = None if size is None else map_pixels(folder / _IMAGES, (len(paths) - len(bad), 3, *size))
    if contents["checksum"] != _checksum(bad, images):
        raise ValueError("the checksum is that of other contents")
    return Decoded(images, tuple(BadFile(paths[index], reason) for index, reason in bad))


def _checksum(bad: list[tuple[int, str]], images: NDArray[np.uint8] | None) -> int:
    return zlib.crc32(json.dumps(bad).encode(), 0 if images is None else checksum(images))


def save(key: str, paths: Sequence[Path], decoded: Decoded) -> None:
    """Write an entry, whole or not at all, in place of older ones; a lack of space is not an error."""
    target = cache_folder() / key
    remove_unfinished_folders(cache_folder(), f"*{_KEY}")
    for older in cache_folder().glob(f"{glob.escape(key.rpartition('-')[0])}-*"):
        if older != target:
            # Another process that has mapped the array keeps it.
            shutil.rmtree(older, ignore_errors=True)
    try:
        write_folder(target, lambda folder: _write(folder, paths, decoded))
    except SpdbuildError as error:
        # Another process may have been first; its entry is just as good.
        if not target.is_dir():
            _LOG.warning("decoded images are not kept: %s", error)


def _write(folder: Path, paths: Sequence[Path], decoded: Decoded) -> None:
    positions = {path: index for index, path in enumerate(paths)}
    bad = [(positions[file.path], file.reason) for file in decoded.bad]
    if decoded.images is not None:
        with (folder / _IMAGES).open("wb") as file:
            np.save(file, decoded.images)
            file.flush()
            os.fsync(file.fileno())
    contents = json.dumps({"bad": bad, "checksum": _checksum(bad, decoded.images)})
    (folder / _CONTENTS).write_text(contents, encoding="utf-8", newline="")

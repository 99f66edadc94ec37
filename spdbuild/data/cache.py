"""The cache of decoded images: one array, in a folder whose name stands for everything that the images depend on.

There is one entry for a data set and a way of reading it: a new one replaces that of the same first file, which was
written before some of the files changed.

The cache of detection (spdbuild.data.detection.store) shares the parent folder and nothing else. There an entry is one
file into which images of many sizes are decoded, one after another, because they need not fit into memory together;
here it is an array that was made in memory, and a list of the bad files.
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray

from spdbuild.data.decoding import BadFile, Resize
from spdbuild.data.levels import Levels
from spdbuild.data.listing import Listing
from spdbuild.errors import SpdbuildError
from spdbuild.system.files import write_folder

#: Incremented whenever decoding gives something else, so that arrays of older versions are not used.
_FORMAT = 1
_LOG = logging.getLogger("spdbuild.data")


@dataclass(frozen=True)
class Decoded:
    """Images of the good files in their order, uint8 [N, 3, H, W] or None if not kept; and the bad files."""

    images: NDArray[np.uint8] | None
    bad: tuple[BadFile, ...]


def cache_folder() -> Path:
    """`SPDBUILD_CACHE`, else spdbuild's folder in the user's cache."""
    if "SPDBUILD_CACHE" in os.environ:
        return Path(os.environ["SPDBUILD_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "spdbuild"


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


def load(key: str, paths: Sequence[Path]) -> Decoded | None:
    """What `save` wrote under `key`, or None; an array is mapped, so processes share one copy of it."""
    folder = cache_folder() / key
    try:
        bad = json.loads((folder / "bad.json").read_text(encoding="utf-8"))
        images = folder / "images.npy"
        array = np.load(images, mmap_mode="c") if images.exists() else None
        return Decoded(array, tuple(BadFile(paths[index], reason) for index, reason in bad))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, IndexError) as error:
        _LOG.warning("the cached images in %s cannot be read (%s); decoding again", folder, error)
        shutil.rmtree(folder, ignore_errors=True)
        return None


def save(key: str, paths: Sequence[Path], decoded: Decoded) -> None:
    """Write an entry, whole or not at all, in place of older ones; a lack of space is not an error."""
    target = cache_folder() / key
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
    bad = json.dumps([[positions[file.path], file.reason] for file in decoded.bad])
    (folder / "bad.json").write_text(bad, encoding="utf-8", newline="")
    if decoded.images is not None:
        with (folder / "images.npy").open("wb") as file:
            np.save(file, decoded.images)
            file.flush()
            os.fsync(file.fileno())

"""Which files a data set consists of, before any is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spdbuild.data.decoding import SUFFIXES
from spdbuild.errors import DataError, nearest

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")


@dataclass(frozen=True)
class Listing:
    """Files with labels.

    root: the folder that messages name the files from.
    labels: positions in `classes`, one for each path.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]

    def name(self, path: Path) -> str:
        """`path` as it is called below the root."""
        return path.relative_to(self.root).as_posix()


def existing_folder(path: Path) -> Path:
    """`path` if it is a folder that can be read; DataError otherwise."""
    if path.is_file():
        packed = path.name.lower().endswith(_ARCHIVES)
        hint = "unpack it and give the folder" if packed else "give the folder that holds the data set"
        raise DataError(f"{path} is a file, not a folder", hint=hint)
    if not path.is_dir():
        raise DataError(f"there is no folder {path}", hint=_where_else(path))
    if not os.access(path, os.R_OK | os.X_OK):
        raise DataError(f"the folder {path} may not be read", hint=f"check its permissions: ls -ld {path}")
    return path


def _where_else(path: Path) -> str:
    parent = next(folder for folder in path.absolute().parents if folder.is_dir())
    # The folders of a whole file system are no help.
    if parent != path.absolute().parent or parent == parent.parent:
        return f"the last folder on the way that exists is {parent}"
    return nearest(path.name, (folder.name for folder in subfolders(parent))) or f"{parent} is empty"


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, by name; hidden ones and what archivers leave behind are not seen."""
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__MACOSX"))
    )


def image_files(folder: Path) -> Iterator[Path]:
    """The image files anywhere below `folder`, by path; hidden ones are not seen."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from image_files(entry)
        elif entry.suffix.lower() in SUFFIXES:
            yield entry

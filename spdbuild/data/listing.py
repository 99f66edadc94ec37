"""Which files a data set consists of, before any is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from spdbuild.data.decoding import is_image_name
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
        """`path` relative to the root."""
        return path.relative_to(self.root).as_posix()


def existing_folder(path: Path) -> Path:
    """`path` if it is a folder that can be read; DataError otherwise."""
    if path.is_file():
        packed = path.name.lower().endswith(_ARCHIVES)
        hint = "unpack it and give the folder" if packed else "give the folder that holds the data set"
        raise DataError(f"{path} is a file, not a folder", hint=hint)
    if not path.is_dir():
        raise DataError(f"there is no folder {path}", hint=_missing_hint(path))
    if not os.access(path, os.R_OK | os.X_OK):
        raise DataError(f"the folder {path} may not be read", hint=f"check its permissions: ls -ld {path}")
    return path


def _missing_hint(path: Path) -> str:
    parent = next(folder for folder in path.absolute().parents if folder.is_dir())
    # The names at the root of a file system are no help.
    if parent != path.absolute().parent or parent == parent.parent:
        return f"the last folder on the way that exists is {parent}"
    return nearest(path.name, (folder.name for folder in subfolders(parent))) or _without_folders(parent)


def _without_folders(folder: Path) -> str:
    file = min((entry.name for entry in folder.iterdir() if not entry.name.startswith(".")), default="")
    return f"{folder} holds no folder, but files such as {file}" if file else f"{folder} is empty"


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, by name, without hidden ones, what archivers leave behind, and links that lead back."""
    way = (folder.resolve(),)
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.is_dir() and not entry.name.startswith((".", "__MACOSX")) and not _leads_back(entry, way)
    )


def with_slashes(folder: Path, name: str) -> str:
    """A name below `folder`, with `/` in place of Windows' separators unless something has exactly this name."""
    return name.replace("\\", "/") if "\\" in name and not (folder / name).exists() else name


def image_files(folder: Path) -> Iterator[Path]:
    """The image files anywhere below `folder`, by path, without hidden ones; links that lead back are not followed."""
    return _image_files(folder, (folder.resolve(),))


def _image_files(folder: Path, way: tuple[Path, ...]) -> Iterator[Path]:
    """way: the folders that led here, links resolved."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not _leads_back(entry, way):
                yield from _image_files(entry, (*way, entry.resolve()))
        elif is_image_name(entry):
            yield entry


def _leads_back(entry: Path, way: tuple[Path, ...]) -> bool:
    """Whether a link leads to one of the folders of `way` or a parent of one, so that they would come again."""
    return entry.is_symlink() and any(folder.is_relative_to(entry.resolve()) for folder in way)

"""Which files a data set consists of, before any is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spdbuild.data.files.decoding import is_image_name
from spdbuild.errors import DataError, nearest

#: How often links may lead to one folder: if each folder has two to the next, a few of them are without end.
MAX_VISITS = 100

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".7z", ".rar")


@dataclass(frozen=True)
class Groups:
    """Which files stay together when a listing is divided.

    numbers: the group of each file, from 0. key: of a recipe, that says which; value: what it says.
    """

    numbers: tuple[int, ...]
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key}='{self.value}'"

    def take(self, positions: Sequence[int]) -> Groups:
        """The groups of the files at `positions`."""
        return replace(self, numbers=tuple(self.numbers[position] for position in positions))


@dataclass(frozen=True)
class Listing:
    """Files with labels.

    root: the folder that messages name the files from.
    labels: positions in `classes`, one for each path.
    part_of: the files with which these are decoded once for all, such as those of all folds; None: these alone.
    groups: which of them stay together, if something other than their names says so.
    """

    root: Path
    paths: tuple[Path, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    part_of: Listing | None = None
    groups: Groups | None = None

    def name(self, path: Path) -> str:
        """`path` relative to the root."""
        return path.relative_to(self.root).as_posix()

    def take(self, positions: Sequence[int]) -> Listing:
        """The files at `positions`, in that order."""
        return replace(
            self,
            paths=tuple(self.paths[position] for position in positions),
            labels=tuple(self.labels[position] for position in positions),
            groups=self.groups and self.groups.take(positions),
        )


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
    file = min((entry.name for entry in entries(folder) if not entry.name.startswith(".")), default="")
    return f"{folder} holds no folder, but files such as {file}" if file else f"{folder} is empty"


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name; raises DataError as `existing_folder`."""
    return sorted(existing_folder(folder).iterdir())


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, by name, without hidden ones, what archivers leave behind, and links that lead back."""
    way = (folder.resolve(),)
    return [
        entry
        for entry in entries(folder)
        if entry.is_dir() and not entry.name.startswith((".", "__MACOSX")) and not _leads_back(entry, way)
    ]


def with_slashes(folder: Path, name: str) -> str:
    """A name below `folder`, with `/` in place of Windows' separators unless something has exactly this name."""
    return name.replace("\\", "/") if "\\" in name and not (folder / name).exists() else name


def image_files(folder: Path) -> Iterator[Path]:
    """The image files anywhere below `folder`, by path, without hidden ones; links that lead back are not followed.

    Raises DataError for a folder that cannot be read, or to which links lead more than MAX_VISITS times.
    """
    return _image_files(folder, (folder.resolve(),), Counter())


def _image_files(folder: Path, way: tuple[Path, ...], visits: Counter[Path]) -> Iterator[Path]:
    """way: the folders that led here, links resolved. visits: how often each folder was looked into."""
    visits[way[-1]] += 1
    if visits[way[-1]] > MAX_VISITS:
        raise DataError(f"links lead to the folder {way[-1]} more than {MAX_VISITS} times", hint="remove some of them")
    for entry in entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if not _leads_back(entry, way):
                yield from _image_files(entry, (*way, entry.resolve()), visits)
        elif is_image_name(entry):
            yield entry


def _leads_back(entry: Path, way: tuple[Path, ...]) -> bool:
    """Whether a link leads to one of the folders of `way` or a parent of one, so that they would come again."""
    return entry.is_symlink() and any(folder.is_relative_to(entry.resolve()) for folder in way)

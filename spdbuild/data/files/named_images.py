"""Image files by the names that a list of images gives them, which may lack their suffix."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from pathlib import Path
from posixpath import normpath

from spdbuild.data.files.decoding import file_length, is_image_name
from spdbuild.data.files.listing import with_slashes

#: What a name may have that another name of the same file lacks.
_UNPLAIN = re.compile(r"\\|//|(^|/)\.{1,2}(/|$)", re.MULTILINE)
_DRIVE = re.compile(r"[A-Za-z]:[/\\]")
#: The number of names by which the folder of all is found.
_LOOKED_AT = 20


class NamedImages:
    """The files below a folder. Each folder in it is read once, when a name in it is first looked for."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, _Folder] = {}

    def plain(self, names: Sequence[str]) -> Sequence[str]:
        """Names with slashes, and without parts such as `.` that lead nowhere."""
        # Few lists have any of that, and a long one is looked through faster as one text.
        if not _UNPLAIN.search("\n".join(names)):
            return names
        return [normpath(with_slashes(self.root, name)) if name else "" for name in names]

    def find(self, name: str) -> Sequence[str]:
        """The name itself if there is such a file; otherwise the names of images that have only a suffix more.

        Of a folder called like an image without its suffix, it is the image. Parts of a name are separated by slashes.
        """
        parent, slash, last = name.rpartition("/")
        found = self._folder(parent).find(last)
        return [f"{parent}/{other}" for other in found] if slash else found

    def path(self, name: str) -> Path:
        """The path of a file, or of one that does not exist."""
        parent, _, last = name.rpartition("/")
        folder = self._folder(parent)
        return folder.files.get(last) or folder.path / last

    def _folder(self, name: str) -> _Folder:
        if name not in self._folders:
            self._folders[name] = _Folder(self.root / name)
        return self._folders[name]


def first_with(roots: Iterable[Path], names: Sequence[str]) -> NamedImages | None:
    """Of several folders the first below which one of the first names is a file."""
    head = [name for name in names[:_LOOKED_AT] if name and not is_absolute(name)]
    each = map(NamedImages, dict.fromkeys(roots))
    return next((images for images in each if any(map(images.find, images.plain(head)))), None)


def is_absolute(name: str) -> bool:
    """Whether a name is a path from the root of a file system, also of one that Windows has."""
    return name.startswith("/") or bool(_DRIVE.match(name))


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def find(self, name: str) -> Sequence[str]:
        if name in self.files and _is_image(name):
            return (name,)
        if name in self._by_stem:
            return self._by_stem[name]
        # Where capitals make no difference, the folder may call it otherwise.
        return (name,) if name and file_length(self.path / name) is not None else ()

    @cached_property
    def files(self) -> dict[str, Path]:
        """All that is in the folder, by name; nothing if it cannot be read."""
        try:
            return {entry.name: entry for entry in self.path.iterdir()}
        except (OSError, ValueError):
            return {}

    @cached_property
    def _by_stem(self) -> dict[str, tuple[str, ...]]:
        """The names of images by what they are without suffix."""
        found: dict[str, tuple[str, ...]] = {}
        for name in filter(_is_image, self.files):
            stem = name.rpartition(".")[0]
            found[stem] = (*found.get(stem, ()), name)
        return found


def _is_image(name: str) -> bool:
    stem, _, ending = name.rpartition(".")
    return bool(stem) and _is_ending(ending)


@cache
def _is_ending(ending: str) -> bool:
    # There are few endings, and a path for each of many names takes long.
    return is_image_name(Path(f"image.{ending}"))

"""Tiny ImageNet in the layout in which it is published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from spdbuild.data.dataset import DATASETS, Fields, Split
from spdbuild.data.files.images import ArrayImages, ImageSet
from spdbuild.data.files.listing import Listing, existing_folder, image_files, subfolders
from spdbuild.data.files.reading import OnError, Reading, open_listing
from spdbuild.data.sets.noise import noise_images
from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import DataError, MissingSplitError, nearest

_AGAIN = "unpack the archive of Tiny ImageNet again"


@DATASETS.register
@dataclass(frozen=True)
class TinyImagenet:
    """200 classes of ImageNet at 64x64 pixels: 100,000 images to train on, and 10,000 of the official split `val`.

        root/                              tiny-imagenet-200
          wnids.txt                        the classes: a label is a line number of this file
          words.txt                        what the classes are called; may be missing
          train/<wnid>/images/*.JPEG
          val/images/*.JPEG
          val/val_annotations.txt          file name and class of each

    Grey images become RGB; the files with boxes are not used. There is no split `test`: as published it has no labels.

    root: the folder with wnids.txt, relative to the current folder.
    on_error: refuse files that cannot be read, or skip and count them.
    memory_gib: up to this many GiB of pixels are decoded once and kept in memory.

    Source: Stanford CS231N, cs231n.stanford.edu/tiny-imagenet-200.zip; images under ImageNet's terms of access.
    """

    task: ClassVar[Literal["classification"]] = "classification"

    root: str = field(metadata=role(Role.RESUMED))
    on_error: OnError = "refuse"
    memory_gib: float = field(default=2.0, metadata=role(Role.RESUMED))

    def __post_init__(self) -> None:
        require_range(self, "memory_gib", least=0)

    @property
    def reading(self) -> Reading:
        advice = f"as published all have 64x64 pixels: {_AGAIN}"
        return Reading(on_error=self.on_error, memory_gib=self.memory_gib, odd_advice=advice)

    @property
    def splits(self) -> tuple[Split, ...]:
        return "train", "val"

    def open(self, split: Split) -> ImageSet:
        return open_listing(self.listing(split), self.reading)

    def listing(self, split: Split) -> Listing:
        root = existing_folder(Path(self.root))
        if split == "test":
            raise MissingSplitError(
                f"{root} has no split 'test': its test images have no labels", hint="known: train, val"
            )
        wnids = _read_wnids(root)
        listed = _train_files(root / "train", wnids) if split == "train" else _val_files(root / "val", wnids)
        paths, labels = zip(*listed, strict=True)
        return Listing(root, paths, labels, _class_names(root, wnids))

    @classmethod
    def fields_in(cls, root: Path) -> Fields | None:
        return {"root": str(root)} if (root / "wnids.txt").is_file() else None

    @classmethod
    def sample(cls) -> ArrayImages:
        return noise_images(classes=[f"n{number:08}" for number in range(200)], size=64)


def _read_wnids(root: Path) -> tuple[str, ...]:
    file = root / "wnids.txt"
    if not file.is_file():
        below = next((folder for folder in subfolders(root) if (folder / "wnids.txt").is_file()), None)
        hint = f"the data set is one folder further down: root: {below}" if below else "give the folder with wnids.txt"
        raise DataError(f"{root} has no wnids.txt, so it is not Tiny ImageNet as published", hint=hint)
    wnids = tuple(_read_text(file).split())
    if not wnids:
        raise DataError(f"{file} is empty", hint=_AGAIN)
    twice = next((wnid for wnid, count in Counter(wnids).items() if count > 1), None)
    if twice:
        raise DataError(f"{file} names the class {twice} twice", hint=_AGAIN)
    return wnids


def _read_text(file: Path) -> str:
    content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"{file}:{line}: the file is not UTF-8 text: byte 0x{content[error.start]:02x}"
        raise DataError(message, hint=_AGAIN) from None


def _class_names(root: Path, wnids: tuple[str, ...]) -> tuple[str, ...]:
    """Such as `n01443537 goldfish`: the first word alone is not always unique."""
    if not (root / "words.txt").is_file():
        return wnids
    lines = _read_text(root / "words.txt").splitlines()
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    return tuple(f"{wnid} {words.get(wnid, '').split(',')[0]}".strip() for wnid in wnids)


def _train_files(folder: Path, wnids: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    for label, wnid in enumerate(wnids):
        images = list(image_files(existing_folder(folder / wnid / "images")))
        if not images:
            raise DataError(f"{folder / wnid / 'images'} holds no images", hint="unpack the archive again")
        yield from ((path, label) for path in images)


def _val_files(folder: Path, wnids: tuple[str, ...]) -> Iterator[tuple[Path, int]]:
    annotations = existing_folder(folder) / "val_annotations.txt"
    if not annotations.is_file():
        raise DataError(
            f"{folder} has no val_annotations.txt, which holds the labels of the validation images",
            hint="unpack it again, or read images that were sorted into class folders with name: folder",
        )
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    lines = _read_text(annotations).splitlines()
    if not lines:
        raise DataError(f"{annotations} is empty", hint=_AGAIN)
    seen: dict[Path, int] = {}
    for number, line in enumerate(lines, 1):
        path, label = _annotated(folder, labels, f"{annotations}:{number}", line.split("\t"))
        if path in seen:
            raise DataError(f"{annotations}:{number}: line {seen[path]} has {path.name} already", hint=_AGAIN)
        seen[path] = number
        yield path, label


def _annotated(folder: Path, labels: dict[str, int], place: str, fields: list[str]) -> tuple[Path, int]:
    if len(fields) < 2:
        raise DataError(f"{place}: expected file name and class, separated by a tab, got '{fields[0]}'")
    path = folder / "images" / fields[0]
    if fields[1] not in labels:
        raise DataError(f"{place}: the class {fields[1]} is not in wnids.txt", hint=nearest(fields[1], labels))
    # A broken link counts as a bad file.
    if not path.is_file() and not path.is_symlink():
        raise DataError(f"{place}: there is no file {path}", hint=_AGAIN)
    return path, labels[fields[1]]

"""What the files of a data set hold, good or bad, before anything is trained on it."""

from __future__ import annotations

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spdbuild.data.dataset import FileDataSet, Split, splits_of
from spdbuild.data.files.decoding import Lost, describe_fault, lost_in, opened, to_rgb
from spdbuild.data.files.images import ArrayImages, FileImages
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.listing import Listing
from spdbuild.data.files.reading import Reading
from spdbuild.errors import InputError
from spdbuild.system.files import regular
from spdbuild.wording.phrases import some


@dataclass(frozen=True)
class Inspection:
    """One image as it is stored.

    name: the file below the data set's folder, its path where no folder is known, or the image's number.
    size: width x height in pixels once it is upright, empty if unknown.
    mode: Pillow's name for the pixel format, empty if unknown.
    digest: equal for equal files. fault: why it cannot be used, empty if it can.
    lost: what it loses as 8-bit RGB, each in words.
    """

    name: str
    label: int
    size: str
    mode: str
    digest: bytes
    fault: str
    lost: dict[Lost, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitCheck:
    """One split.

    classes: images of each class. sizes, modes: how many images have them.
    bad: files that cannot be used, with the reason. duplicates: groups of equal files.
    dark: files of more than 8 bits that keep few grey levels, with the reason.
    bands: files with bands that are not read, with their number.
    """

    images: int
    classes: dict[str, int]
    sizes: dict[str, int]
    modes: dict[str, int]
    bad: dict[str, str]
    duplicates: tuple[tuple[str, ...], ...]
    dark: dict[str, str]
    bands: dict[str, str]


@dataclass(frozen=True)
class Check:
    """All splits.

    leaks: groups of equal files in more than one split.
    odd_sizes: why images that can be read cannot be trained on together. advice: what to do in that case.
    """

    splits: dict[Split, SplitCheck]
    leaks: tuple[tuple[str, ...], ...]
    odd_sizes: tuple[str, ...] = ()
    advice: str = ""

    @property
    def sound(self) -> bool:
        """Whether every file can be used."""
        return not self.odd_sizes and not any(split.bad for split in self.splits.values())


@dataclass(frozen=True)
class _Inspected:
    """The images of one split.

    resized: the size, width x height, to which all are resized; empty where they must already have one size.
    odd_advice: what to do if they do not.
    """

    classes: tuple[str, ...]
    images: list[Inspection]
    resized: str
    odd_advice: str

    @property
    def good(self) -> list[Inspection]:
        return [image for image in self.images if not image.fault]


def check(data_set: Any) -> Check:
    """Look at every image of every split; DataError where the layout itself is wrong."""
    inspected = {split: _inspect_split(data_set, split) for split in splits_of(data_set)}
    splits = {split: _summary(found.classes, found.images) for split, found in inspected.items()}
    good = {split: found.good for split, found in inspected.items()}
    held = Counter(digest for images in good.values() for digest in {image.digest for image in images})
    shared = {digest for digest, splits_with in held.items() if splits_with > 1}
    named = [(f"{split}/{image.name}", image.digest) for split, images in good.items() for image in images]
    leaks = _groups((name, digest) for name, digest in named if digest in shared)
    odd = tuple(_odd_sizes(inspected))
    return Check(splits, leaks, odd, inspected["train"].odd_advice if odd else "")


def _odd_sizes(inspected: dict[Split, _Inspected]) -> Iterator[str]:
    """What training rejects: within a split all images must have the size of its first, and all splits the same."""
    common = []
    for split, found in inspected.items():
        good = found.good
        if not good:
            continue
        size = found.resized or good[0].size
        common.append(size)
        odd = [image for image in good if image.size != size and not found.resized]
        if odd:
            named = some([f"{image.name} is {image.size} pixels, not {size}" for image in odd], 5, "; ")
            yield f"the images in {split} have different sizes: {named}"
    if len(set(common)) > 1:
        yield f"the images to train on have {common[0]} pixels, and those to evaluate on {common[1]}"


def _inspect_split(data_set: Any, split: Split) -> _Inspected:
    if isinstance(data_set, FileDataSet):
        return _inspect_listing(data_set.listing(split), data_set.reading)
    if hasattr(data_set, "listing"):
        # There is no telling which sizes would be wrong.
        raise InputError(
            f"the data set '{data_set.name}' has `listing` and lacks `reading`, which says what sizes images may have",
            hint="give it a property `reading`, a spdbuild.data.files.reading.Reading, which its `open` uses, too",
        )
    images = data_set.open(split)
    if isinstance(images, FileImages):
        files = zip(images.paths, images.labels.tolist(), strict=True)
        found = [_inspect_file(path, str(path), label, images.levels) for path, label in files]
        resized = _width_by_height(images.size) if images.resize else ""
        return _Inspected(images.classes, found, resized, images.odd_advice)
    return _Inspected(images.classes, list(_inspect_array(images)), "", Reading().odd_advice)


def _inspect_listing(listing: Listing, reading: Reading) -> _Inspected:
    files = zip(listing.paths, listing.labels, strict=True)
    found = [_inspect_file(path, listing.name(path), label, reading.levels) for path, label in files]
    resized = _width_by_height(reading.height_width) if reading.height_width else ""
    return _Inspected(listing.classes, found, resized, reading.odd_advice)


def _inspect_file(path: Path, name: str, label: int, levels: Levels) -> Inspection:
    size = mode = fault = ""
    content, lost = b"", dict[Lost, str]()
    try:
        content = regular(path).read_bytes()
        with opened(io.BytesIO(content)) as image:
            size, mode = f"{image.width}x{image.height}", image.mode
            lost = lost_in(image, levels)
            upright = to_rgb(image, levels)
            size = f"{upright.width}x{upright.height}"
    # Pillow's readers raise arbitrary errors for damaged files.
    except Exception as error:
        fault = describe_fault(path, error)
    return Inspection(name, label, size, mode, hashlib.sha256(content).digest(), fault, lost)


def _inspect_array(images: ArrayImages) -> Iterator[Inspection]:
    size = _width_by_height(images.size)
    for number, (image, label) in enumerate(zip(images.images.numpy(), images.labels.tolist(), strict=True)):
        yield Inspection(str(number), label, size, "RGB", hashlib.sha256(image.tobytes()).digest(), "")


def _width_by_height(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"


def _summary(classes: tuple[str, ...], images: list[Inspection]) -> SplitCheck:
    counts = Counter(image.label for image in images)
    good = [image for image in images if not image.fault]
    return SplitCheck(
        images=len(images),
        classes={name: counts[label] for label, name in enumerate(classes)},
        sizes=dict(Counter(image.size for image in good).most_common()),
        modes=dict(Counter(image.mode for image in good).most_common()),
        bad={image.name: image.fault for image in images if image.fault},
        duplicates=_groups((image.name, image.digest) for image in good),
        dark=_lost("few grey levels", good),
        bands=_lost("bands left out", good),
    )


def _lost(what: Lost, images: Iterable[Inspection]) -> dict[str, str]:
    """The images that lose it, with the words for it."""
    return {image.name: image.lost[what] for image in images if what in image.lost}


def _groups(named: Iterable[tuple[str, bytes]]) -> tuple[tuple[str, ...], ...]:
    """The names that share a digest, in groups of two or more."""
    groups: defaultdict[bytes, list[str]] = defaultdict(list)
    for name, digest in named:
        groups[digest].append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)

"""Everything that is wrong with a data set, counted and named."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.dataset import differing_class
from spdbuild.data.detection.findings import GRAVE, Finding, Kind, count
from spdbuild.data.detection.pixels import read_pixels
from spdbuild.data.detection.table import NO_CLASS, DetectionSet, Objects
from spdbuild.data.files.decoding import file_length, lost_in_file
from spdbuild.system.files import regular
from spdbuild.system.processors import processors

#: A box may reach this many pixels beyond its image before it counts as outside: less is rounding.
TOLERANCE = 0.5


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    images, objects: how many there are.
    findings: in the order in which they were found.
    """

    images: int
    objects: int
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[Kind, int]:
        return count(self.findings)

    @property
    def sound(self) -> bool:
        """Whether every image and object can be used."""
        return not any(kind in GRAVE for kind in self.counts)

    def lines(self, most: int = 5) -> Iterator[str]:
        """The report for people, with the first `most` findings of each kind by name."""
        yield f"{self.images} images, {self.objects} objects"
        for kind, number in self.counts.items():
            yield f"{number} x {kind}"
            named = [finding for finding in self.findings if finding.kind == kind]
            yield from (f"    {finding}" for finding in named[:most])
            if number > most:
                yield f"    and {number - most} more"
        if not self.findings:
            yield "nothing is wrong"


def check(dataset: DetectionSet, *, decode: bool = True) -> CheckReport:
    """The faults that the reader met, those of the boxes and, with `decode`, those of the image files."""
    images = (*_bad_images(dataset).values(), *lossy_images(dataset)) if decode else ()
    findings = (*dataset.findings, *images, *_bad_boxes(dataset), *_repeated_rows(dataset))
    return CheckReport(len(dataset), len(dataset.objects), findings)


def check_splits(splits: Mapping[str, DetectionSet]) -> dict[str, CheckReport]:
    """A check of each split, and of all together.

    A split may share images with an earlier one, which makes metrics too good; "val" may have other classes than
    "train", which training refuses; the first is told which of its classes no object of any split has.
    """
    more = _shared_images(splits)
    more[next(iter(splits))] += _unused_classes(splits)
    if {"train", "val"} <= splits.keys():
        differing = differing_class(splits["train"].names, splits["val"].names)
        more["val"] += [Finding("other classes", "classes", differing)] if differing else []
    reports = {split: check(dataset) for split, dataset in splits.items()}
    return {split: replace(report, findings=(*report.findings, *more[split])) for split, report in reports.items()}


def without_bad_images(dataset: DetectionSet) -> DetectionSet:
    """The data set without the images that cannot be read; these become findings."""
    bad = _bad_images(dataset)
    kept = dataset.subset([index for index in range(len(dataset)) if index not in bad])
    # The images that these are a part of may have bad ones, too.
    return replace(kept, findings=(*dataset.findings, *bad.values()), part_of=None)


def _bad_images(dataset: DetectionSet) -> dict[int, Finding]:
    """What is wrong with each image that cannot be read, by its position."""

    def fault(index: int) -> Finding | None:
        pixels = read_pixels(dataset, index)
        return pixels if isinstance(pixels, Finding) else None

    with ThreadPoolExecutor(processors()) as pool:
        faults = pool.map(fault, range(len(dataset)))
        return {index: finding for index, finding in enumerate(faults) if finding is not None}


def lossy_images(dataset: DetectionSet) -> Iterator[Finding]:
    """The images of more than 8 bits that keep few grey levels, and those with bands that are not read."""
    # The tiles of an image are in one file.
    paths = list(dict.fromkeys(image.path for image in dataset.images if image.path is not None))
    with ThreadPoolExecutor(processors()) as pool:
        told = zip(paths, pool.map(partial(lost_in_file, levels=dataset.levels), paths), strict=True)
        yield from (Finding(what, str(path), words) for path, lost in told for what, words in lost.items())


def _shared_images(splits: Mapping[str, DetectionSet]) -> defaultdict[str, list[Finding]]:
    """For each split its images of which an earlier split has the same file, or an equal file of any name."""
    files = [
        (split, image.path, length)
        for split, dataset in splits.items()
        for image in dataset.images
        if image.path is not None and (length := file_length(image.path))
    ]
    with_length: defaultdict[int, set[str]] = defaultdict(set)
    for split, _, length in files:
        with_length[length].add(split)
    compared = [(split, path) for split, path, length in files if len(with_length[length]) > 1]
    with ThreadPoolExecutor(processors()) as pool:
        digests = list(pool.map(_digest, (path for _, path in compared)))
    first: dict[bytes, tuple[str, Path]] = {}
    shared: defaultdict[str, list[Finding]] = defaultdict(list)
    for (split, path), digest in zip(compared, digests, strict=True):
        before, known = first.setdefault(digest, (split, path)) if digest else (split, path)
        if before != split:
            detail = f"is the same image as {known} of '{before}'"
            shared[split].append(Finding("image in two splits", str(path), detail))
    return shared


def _unused_classes(splits: Mapping[str, DetectionSet]) -> Iterator[Finding]:
    used = {dataset.names[class_] for dataset in splits.values() for class_ in np.unique(_classes(dataset))}
    for class_, name in enumerate(next(iter(splits.values())).names):
        if name not in used:
            yield Finding("class without objects", f"class {class_}", f"'{name}': no object has it")


def _classes(dataset: DetectionSet) -> NDArray[np.int64]:
    """The classes of the objects that have one."""
    return np.asarray(dataset.objects.classes[dataset.objects.classes != NO_CLASS])


def placeholder(dataset: DetectionSet) -> str | None:
    """The name of a category 0 that no object has, as Roboflow writes it into COCO's files; None if there is none."""
    first, *others = dataset.category_ids
    return dataset.names[0] if first == 0 and others and 0 not in _classes(dataset) else None


def _digest(path: Path) -> bytes | None:
    """Equal for equal files; None for one that cannot be read, which is a finding of its own."""
    try:
        with regular(path).open("rb") as file:
            return hashlib.file_digest(file, "blake2b").digest()
    except OSError:
        return None


def reaching_out(dataset: DetectionSet) -> NDArray[np.int64]:
    """The rows of objects with an area whose box lies partly outside its image."""
    objects = dataset.objects
    sizes = np.array([(image.width, image.height) for image in dataset.images], np.float64)[dataset.image_index]
    low, high = objects.boxes_xyxy[:, :2], objects.boxes_xyxy[:, 2:]
    outside = ((low < -TOLERANCE) | (high > sizes + TOLERANCE)).any(axis=1)
    return np.flatnonzero(outside & ~_empty(objects))


def _empty(objects: Objects) -> NDArray[np.bool_]:
    return np.asarray((objects.width <= 0) | (objects.height <= 0))


def _bad_boxes(dataset: DetectionSet) -> Iterator[Finding]:
    for row in np.flatnonzero(_empty(dataset.objects)):
        yield _box_finding(dataset, "zero area", int(row), "has no area")
    for row in reaching_out(dataset):
        image = dataset.images[dataset.image_index[row]]
        size = f"{image.width}x{image.height}"
        yield _box_finding(dataset, "box outside", int(row), f"reaches out of the image of {size} pixels")


def _repeated_rows(dataset: DetectionSet) -> Iterator[Finding]:
    objects = dataset.objects
    keys = np.column_stack((dataset.image_index, objects.classes, objects.crowd, objects.boxes_xyxy))
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    for row in np.flatnonzero(first[inverse.ravel()] != np.arange(len(objects))):
        yield _box_finding(dataset, "duplicate row", int(row), "is there already, with the same class and box")


def _box_finding(dataset: DetectionSet, kind: Kind, row: int, what: str) -> Finding:
    image = dataset.images[int(np.searchsorted(dataset.first, row, side="right")) - 1]
    class_ = int(dataset.objects.classes[row])
    name = dataset.names[class_] if class_ >= 0 else "an ignored object"
    box = ", ".join(f"{edge:g}" for edge in dataset.objects.boxes_xyxy[row])
    return Finding(kind, image.name, f"object {dataset.objects.ids[row]} ({name}, [{box}]) {what}")

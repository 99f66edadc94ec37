"""What is wrong with a data set: all of it, counted and named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from spdbuild.data.detection.findings import GRAVE, Finding, Kind, count
from spdbuild.data.detection.pixels import read_pixels
from spdbuild.data.detection.table import DetectionSet

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
        """The report for people; of each kind the first `most` findings by name."""
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
    """Everything that the reader came across, that the boxes show and, with `decode`, that the image files show."""
    images = _bad_images(dataset) if decode else {}
    findings = (*dataset.findings, *images.values(), *_bad_boxes(dataset), *_repeated_rows(dataset))
    return CheckReport(len(dataset), len(dataset.objects), findings)


def without_bad_images(dataset: DetectionSet) -> DetectionSet:
    """The data set without the images that cannot be read; these become findings."""
    bad = _bad_images(dataset)
    kept = dataset.subset([index for index in range(len(dataset)) if index not in bad])
    return replace(kept, findings=(*dataset.findings, *bad.values()))


def _bad_images(dataset: DetectionSet) -> dict[int, Finding]:
    """What is wrong with the image at a position, for those that cannot be read."""

    def fault(index: int) -> Finding | None:
        pixels = read_pixels(dataset, index)
        return pixels if isinstance(pixels, Finding) else None

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        faults = pool.map(fault, range(len(dataset)))
        return {index: finding for index, finding in enumerate(faults) if finding is not None}


def _bad_boxes(dataset: DetectionSet) -> Iterator[Finding]:
    objects, owners = dataset.objects, dataset.image_index
    sizes = np.array([(image.width, image.height) for image in dataset.images], np.float64)[owners]
    empty = (objects.width <= 0) | (objects.height <= 0)
    low, high = objects.boxes_xyxy[:, :2], objects.boxes_xyxy[:, 2:]
    outside = ((low < -TOLERANCE) | (high > sizes + TOLERANCE)).any(axis=1)
    for row in np.flatnonzero(empty):
        yield _box_finding(dataset, "zero area", int(row), "has no area")
    for row in np.flatnonzero(outside & ~empty):
        width, height = sizes[row]
        yield _box_finding(dataset, "box outside", int(row), f"reaches out of the image of {width:g}x{height:g} pixels")


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

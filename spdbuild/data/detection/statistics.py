"""How many objects a data set has, of which class and of which size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from spdbuild.boxes.size_bins import COCO_SIZES, SizeBin
from spdbuild.data.detection.table import DetectionSet
from spdbuild.pictures.drawing import arrange, draw_bars

#: The number of classes that a plot has a bar for.
_CLASSES = 40


@dataclass(frozen=True)
class DetectionStatistics:
    """Counts for a data set; objects are those that have a class, without crowd regions and ignored ones.

    background: images without objects.
    objects_by_class: objects of each class.
    by_class: for each class its objects by size; one on the border of two sizes is in both.
    images_by_class: images that have an object of the class.
    crowd, ignored: regions where detections do not count.
    sides: quantiles 0, 0.1, ..., 1 of the objects' longer side, in pixels of the original image.
    """

    images: int
    background: int
    objects: int
    crowd: int
    ignored: int
    objects_by_class: Mapping[str, int]
    by_class: Mapping[str, Mapping[str, int]]
    images_by_class: Mapping[str, int]
    sides: tuple[float, ...]

    @property
    def by_size(self) -> dict[str, int]:
        sizes = list(next(iter(self.by_class.values())))
        return {name: sum(counts[name] for counts in self.by_class.values()) for name in sizes}


def statistics(dataset: DetectionSet, sizes: Sequence[SizeBin] = COCO_SIZES) -> DetectionStatistics:
    """Counts by class and by area; as in an evaluation, an object on the border of two sizes counts in both."""
    objects = dataset.objects
    counted = objects.counted
    classes, owners, areas = objects.classes[counted], dataset.image_index[counted], objects.area[counted]
    cells = {size.name: np.bincount(classes[size.holds(areas)], minlength=len(dataset.names)) for size in sizes}
    pairs = np.unique(np.stack((owners, classes)), axis=1)
    images = np.bincount(pairs[1], minlength=len(dataset.names))
    sides = np.maximum(objects.width, objects.height)[counted]
    totals = np.bincount(classes, minlength=len(dataset.names))
    labels = _labels(dataset.names)
    return DetectionStatistics(
        images=len(dataset),
        background=len(dataset) - len(np.unique(owners)),
        objects=int(counted.sum()),
        crowd=int(objects.crowd.sum()),
        ignored=int((objects.ignored & ~objects.crowd).sum()),
        objects_by_class=dict(zip(labels, totals.tolist(), strict=True)),
        by_class={
            label: {size: int(column[class_]) for size, column in cells.items()} for class_, label in enumerate(labels)
        },
        images_by_class=dict(zip(labels, images.tolist(), strict=True)),
        sides=tuple(np.quantile(sides, np.linspace(0, 1, 11)).tolist()) if len(sides) else (),
    )


def _labels(names: Sequence[str]) -> list[str]:
    """The names, followed by the class's number where several classes share one."""
    return [f"{name} (class {class_})" if names.count(name) > 1 else name for class_, name in enumerate(names)]


def draw_statistics(counts: DetectionStatistics, split: str) -> Image.Image:
    """Objects by size, by the length of their longer side, and by class (the 40 most frequent).

    split: its name in the titles.
    """
    totals = counts.objects_by_class
    frequent = dict(sorted(totals.items(), key=lambda item: -item[1])[:_CLASSES])
    some = f" (the {_CLASSES} most frequent of {len(totals)})" if len(totals) > _CLASSES else ""
    charts = [
        draw_bars(
            f"{split}: {counts.objects:,} objects in {counts.images:,} images, by the root of their area",
            {_limits(size): counts.by_size[size.name] for size in COCO_SIZES},
        ),
        draw_bars(f"{split}: longer side of the objects in pixels", _quantiles(counts.sides)),
        draw_bars(f"{split}: objects by class{some}", frequent),
    ]
    return arrange(charts, columns=1)


def _limits(size: SizeBin) -> str:
    """`M: 32 to 96 pixels`; COCO's upper limit for large objects is left out, as no image reaches it."""
    if size.high >= COCO_SIZES[-1].high:
        return f"{size.name}: from {size.low:g} pixels"
    return f"{size.name}: {size.low:g} to {size.high:g} pixels"


def _quantiles(sides: Sequence[float]) -> dict[str, float]:
    names = ["the smallest", *(f"{10 * step} % have at most" for step in range(1, 10)), "the largest"]
    return {name: round(side, 1) for name, side in zip(names, sides, strict=False)}

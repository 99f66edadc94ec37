"""How many objects a data set has, of which class and of which size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from spdbuild.data.detection.table import NO_CLASS, DetectionSet
from spdbuild.drawing import arrange, draw_bars
from spdbuild.size_bins import COCO_SIZES, SizeBin


@dataclass(frozen=True)
class DetectionStatistics:
    """Counts of a data set; objects are those of a class, without crowd regions and ignored ones.

    background: images without an object.
    by_class: for each class its objects by size.
    images_by_class: images that have an object of the class.
    crowd, ignored: regions where detections do not count.
    sides: quantiles 0, 0.1, ..., 1 of the objects' longer side, in pixels of the original image.
    """

    images: int
    background: int
    objects: int
    crowd: int
    ignored: int
    by_class: Mapping[str, Mapping[str, int]]
    images_by_class: Mapping[str, int]
    sides: tuple[float, ...]

    @property
    def by_size(self) -> dict[str, int]:
        sizes = list(next(iter(self.by_class.values())))
        return {name: sum(counts[name] for counts in self.by_class.values()) for name in sizes}


def statistics(dataset: DetectionSet, sizes: Sequence[SizeBin] = COCO_SIZES) -> DetectionStatistics:
    """Counts by class and by area; as in an evaluation, an object on the border of two sizes counts for both."""
    objects = dataset.objects
    counted = (objects.classes != NO_CLASS) & ~objects.crowd & ~objects.ignored
    classes, owners, areas = objects.classes[counted], dataset.image_index[counted], objects.area[counted]
    cells = {size.name: np.bincount(classes[size.holds(areas)], minlength=len(dataset.names)) for size in sizes}
    pairs = np.unique(np.stack((owners, classes)), axis=1)
    images = np.bincount(pairs[1], minlength=len(dataset.names))
    sides = np.maximum(objects.width, objects.height)[counted]
    return DetectionStatistics(
        images=len(dataset),
        background=len(dataset) - len(np.unique(owners)),
        objects=int(counted.sum()),
        crowd=int(objects.crowd.sum()),
        ignored=int((objects.ignored & ~objects.crowd).sum()),
        by_class={
            name: {size: int(column[class_]) for size, column in cells.items()}
            for class_, name in enumerate(dataset.names)
        },
        images_by_class=dict(zip(dataset.names, images.tolist(), strict=True)),
        sides=tuple(np.quantile(sides, np.linspace(0, 1, 11)).tolist()) if len(sides) else (),
    )


def draw_statistics(counts: DetectionStatistics) -> Image.Image:
    """Objects by size, by the length of their longer side, and by class (the 40 most frequent)."""
    totals = {name: sum(cells.values()) for name, cells in counts.by_class.items()}
    frequent = dict(sorted(totals.items(), key=lambda item: -item[1])[:40])
    sides = {f"{10 * step} %": round(side, 1) for step, side in enumerate(counts.sides)}
    charts = [
        draw_bars(f"{counts.objects} objects in {counts.images} images, by size", counts.by_size),
        draw_bars("longer side in pixels: so many percent are smaller", sides),
        draw_bars("objects by class", frequent),
    ]
    return arrange(charts, columns=1)

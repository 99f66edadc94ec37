"""Whether the limits of an evaluation are too low for images with many objects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spdbuild.data.detection.table import DetectionSet
from spdbuild.training.detection.images import DetectionImages
from spdbuild.training.detection.options import JudgingOptions


def limits_exceeded(images: DetectionImages, options: JudgingOptions) -> Iterator[str]:
    """A sentence for each limit on detections that keeps objects from being found, with the key that raises it."""
    what, limit = "objects" if options.class_agnostic else "objects of one class", options.max_detections
    counts = _counts(images.dataset, by_class=not options.class_agnostic)
    if (full := counts > limit).any():
        yield (
            f"{full.sum():,} of {len(counts):,} images have more than {limit:,} {what}, up to {counts.max():,}, and no "
            f"more detections than that count: raise task.evaluation.max_detections"
        )
    limit = options.nms.max_detections
    counts = _counts(images.seen, by_class=False)
    if (full := counts > limit).any():
        parts = "tiles" if images.tiles else "images"
        smaller = "" if images.tiles else ", or set task.tiles.size"
        yield (
            f"{full.sum():,} of {len(counts):,} {parts} have more than {limit:,} objects, up to {counts.max():,}, and "
            f"NMS keeps no more detections than that: raise task.evaluation.nms.max_detections{smaller}"
        )


def _counts(dataset: DetectionSet, *, by_class: bool) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """int64 [N], the objects of each image; by class: those of its most frequent class."""
    counted, count = dataset.objects.counted, len(dataset.names) if by_class else 1
    classes = dataset.objects.classes[counted] if by_class else 0
    cells = dataset.image_index[counted] * count + classes
    return np.asarray(np.bincount(cells, minlength=len(dataset) * count).reshape(len(dataset), count).max(axis=1))

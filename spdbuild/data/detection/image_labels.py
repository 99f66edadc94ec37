"""What training learns from each image of a data set, computed once for all epochs."""

from __future__ import annotations

import numpy as np

from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.pixels import size_at
from spdbuild.data.detection.table import DetectionSet


class ImageLabels:
    """For each position the objects to be learned, in pixels of the image at the training size, clipped to its border.

    long_side: length in pixels of the longer side of an image at the training size.
    """

    def __init__(self, dataset: DetectionSet, long_side: int) -> None:
        sizes = np.array([(image.width, image.height) for image in dataset.images], np.float64).reshape(-1, 2)
        scaled = np.array([size_at(image, long_side)[::-1] for image in dataset.images], np.float64).reshape(-1, 2)
        objects, image = dataset.objects, dataset.image_index
        boxes = np.clip(objects.boxes_xyxy, 0, np.tile(sizes, 2)[image])
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        rows = np.flatnonzero(dataset.trainable & inside)
        factors = (scaled / sizes)[image[rows]]
        places = np.concatenate((factors, np.zeros_like(factors)), axis=1)
        self._labels = Labels(boxes[rows] * np.tile(factors, 2), objects.classes[rows], places, objects.outlines, rows)
        self._first = np.searchsorted(image[rows], np.arange(len(dataset) + 1))

    def __getitem__(self, index: int) -> Labels:
        return self._labels.take(slice(self._first[index], self._first[index + 1]))

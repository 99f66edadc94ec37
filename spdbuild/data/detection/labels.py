"""The objects that a training image shows, while the image is cut, moved and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.table import Polygon

Boxes = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Labels:
    """Objects of one image, a row each.

    boxes_xyxy: float64 [B, 4], pixels of the image at hand.
    classes: int64 [B].
    outlines: for each row its polygons [points, 2] in the same pixels; empty where there are none.
    """

    boxes_xyxy: Boxes
    classes: NDArray[np.int64]
    outlines: tuple[tuple[Polygon, ...], ...]

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, rows: NDArray[np.int64]) -> Labels:
        return Labels(self.boxes_xyxy[rows], self.classes[rows], tuple(self.outlines[row] for row in rows))

    def scaled(self, x: float, y: float) -> Labels:
        return self._mapped(np.array((x, y)), np.zeros(2))

    def shifted(self, x: float, y: float) -> Labels:
        return self._mapped(np.ones(2), np.array((x, y), np.float64))

    def _mapped(self, scale: NDArray[np.float64], shift: NDArray[np.float64]) -> Labels:
        boxes = self.boxes_xyxy * np.tile(scale, 2) + np.tile(shift, 2)
        outlines = tuple(tuple(polygon * scale + shift for polygon in polygons) for polygons in self.outlines)
        return Labels(boxes, self.classes, outlines)

    def mirrored(self, *, width: float | None = None, height: float | None = None) -> Labels:
        """Left and right exchanged in an image of that width, or top and bottom in one of that height."""
        left, top, right, bottom = self.boxes_xyxy.T
        scale, shift = np.ones(2), np.zeros(2)
        if width is not None:
            left, right, scale[0], shift[0] = width - right, width - left, -1, width
        if height is not None:
            top, bottom, scale[1], shift[1] = height - bottom, height - top, -1, height
        outlines = tuple(tuple(polygon * scale + shift for polygon in polygons) for polygons in self.outlines)
        return Labels(np.stack((left, top, right, bottom), axis=1), self.classes, outlines)

    @classmethod
    def join(cls, parts: Sequence[Labels]) -> Labels:
        return cls(
            np.concatenate([part.boxes_xyxy for part in parts]),
            np.concatenate([part.classes for part in parts]),
            tuple(outline for part in parts for outline in part.outlines),
        )


def clipped(boxes_xyxy: Boxes, width: float, height: float) -> Boxes:
    """The part of each box within an image of that size."""
    return np.clip(boxes_xyxy, 0, (width, height, width, height))

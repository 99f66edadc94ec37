"""The objects that a training image shows, while the image is cut, moved and put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.table import Objects, Polygon

Boxes = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Labels:
    """Objects of one image, a row each.

    boxes_xyxy: float64 [B, 4], pixels of the image at hand.
    classes: int64 [B].
    outlines: for each row its polygons [points, 2] as they were annotated; empty where there are none.
    places: float64 [B, 4], factors (x, y) and shifts (x, y) that take a row's polygons to the pixels of the image at
        hand. They are multiplied only when somebody asks for an outline: few ever do.
    """

    boxes_xyxy: Boxes
    classes: NDArray[np.int64]
    outlines: Sequence[tuple[Polygon, ...]]
    places: NDArray[np.float64]

    @classmethod
    def of(cls, objects: Objects, boxes_xyxy: Boxes | None = None) -> Labels:
        """Objects in the pixels of their own image; `boxes_xyxy` instead of theirs if given."""
        boxes = objects.boxes_xyxy if boxes_xyxy is None else boxes_xyxy
        return cls(boxes, objects.classes, objects.outlines, np.tile((1.0, 1.0, 0.0, 0.0), (len(objects), 1)))

    def __len__(self) -> int:
        return len(self.classes)

    def outline(self, row: int) -> tuple[Polygon, ...]:
        """The polygons of one object in the pixels of the image at hand."""
        place = self.places[row]
        return tuple(polygon * place[:2] + place[2:] for polygon in self.outlines[row])

    def take(self, rows: NDArray[np.int64]) -> Labels:
        outlines = tuple(self.outlines[row] for row in rows)
        return Labels(self.boxes_xyxy[rows], self.classes[rows], outlines, self.places[rows])

    def with_boxes(self, boxes_xyxy: Boxes) -> Labels:
        """The same objects with other boxes, which are no longer larger than what is shown of them."""
        return Labels(boxes_xyxy, self.classes, self.outlines, self.places)

    def scaled(self, x: float, y: float) -> Labels:
        factors = np.array((x, y, x, y))
        return Labels(self.boxes_xyxy * factors, self.classes, self.outlines, self.places * factors)

    def shifted(self, x: float, y: float) -> Labels:
        boxes = self.boxes_xyxy + np.array((x, y, x, y))
        return Labels(boxes, self.classes, self.outlines, self.places + np.array((0, 0, x, y)))

    def mirrored(self, width: float) -> Labels:
        """Left and right exchanged in an image of that width."""
        boxes = self.boxes_xyxy[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (width, 0, width, 0)
        places = self.places * (-1, 1, -1, 1) + (0, 0, width, 0)
        return Labels(boxes, self.classes, self.outlines, places)

    def upturned(self, height: float) -> Labels:
        """Top and bottom exchanged in an image of that height."""
        boxes = self.boxes_xyxy[:, [0, 3, 2, 1]] * (1, -1, 1, -1) + (0, height, 0, height)
        places = self.places * (1, -1, 1, -1) + (0, 0, 0, height)
        return Labels(boxes, self.classes, self.outlines, places)

    @classmethod
    def join(cls, parts: Sequence[Labels]) -> Labels:
        return cls(
            np.concatenate([part.boxes_xyxy for part in parts]),
            np.concatenate([part.classes for part in parts]),
            tuple(outline for part in parts for outline in part.outlines),
            np.concatenate([part.places for part in parts]),
        )


def clipped(boxes_xyxy: Boxes, width: float, height: float) -> Boxes:
    """The part of each box within an image of that size."""
    return np.clip(boxes_xyxy, 0, (width, height, width, height))

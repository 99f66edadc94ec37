"""The objects of a training image, while the image is cropped, moved and composed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.boxes import Boxes
from spdbuild.data.detection.outlines import Outlines, Polygon


@dataclass(frozen=True, eq=False)
class Labels:
    """Objects of one image, a row each.

    boxes_xyxy: float64 [B, 4], in pixels of the current image.
    classes: int64 [B].
    places: float64 [B, 4], factors (x, y) and shifts (x, y) that map a row's polygons to pixels of the current image.
        They are applied only when an outline is asked for, which is rare.
    outlines: the polygons of the whole data set, as annotated.
    sources: int64 [B], each object's row of `outlines`.
    """

    boxes_xyxy: Boxes
    classes: NDArray[np.int64]
    places: NDArray[np.float64]
    outlines: Outlines
    sources: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def outlined(self) -> NDArray[np.bool_]:
        """Which objects have an outline, bool [B]."""
        return self.outlines.present(self.sources)

    def outline(self, row: int) -> tuple[Polygon, ...]:
        """The polygons of one object in pixels of the current image."""
        place = self.places[row]
        return tuple(polygon * place[:2] + place[2:] for polygon in self.outlines[int(self.sources[row])])

    def take(self, rows: NDArray[np.int64] | slice) -> Labels:
        """The given rows, in that order; a slice copies nothing."""
        return Labels(self.boxes_xyxy[rows], self.classes[rows], self.places[rows], self.outlines, self.sources[rows])

    def with_boxes(self, boxes_xyxy: Boxes) -> Labels:
        """The same objects with other boxes, which must not reach beyond what is shown of them."""
        return replace(self, boxes_xyxy=boxes_xyxy)

    def scaled(self, x: float, y: float) -> Labels:
        factors = np.array((x, y, x, y))
        return replace(self, boxes_xyxy=self.boxes_xyxy * factors, places=self.places * factors)

    def shifted(self, by: NDArray[np.float64]) -> Labels:
        """Moved by (x, y) pixels; [2], or [B, 2] where every row has its own."""
        places = self.places.copy()
        places[:, 2:] += by
        return replace(self, boxes_xyxy=self.boxes_xyxy + np.tile(by, 2), places=places)

    def mirrored(self, width: float) -> Labels:
        """Left and right exchanged in an image of that width."""
        boxes = self.boxes_xyxy[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (width, 0, width, 0)
        return replace(self, boxes_xyxy=boxes, places=self.places * (-1, 1, -1, 1) + (0, 0, width, 0))

    def upturned(self, height: float) -> Labels:
        """Top and bottom exchanged in an image of that height."""
        boxes = self.boxes_xyxy[:, [0, 3, 2, 1]] * (1, -1, 1, -1) + (0, height, 0, height)
        return replace(self, boxes_xyxy=boxes, places=self.places * (1, -1, 1, -1) + (0, 0, 0, height))

    @classmethod
    def join(cls, parts: Sequence[Labels]) -> Labels:
        """The rows of all parts, which must belong to one data set."""
        return cls(
            np.concatenate([part.boxes_xyxy for part in parts]),
            np.concatenate([part.classes for part in parts]),
            np.concatenate([part.places for part in parts]),
            parts[0].outlines,
            np.concatenate([part.sources for part in parts]),
        )

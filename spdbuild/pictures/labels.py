"""The placement of box labels: at their own box, and not on other labels if there is room."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: The largest share of another box that the label of a small one may hide.
_HIDDEN = 0.3


def place_labels(
    boxes_xyxy: Sequence[Sequence[float]],
    sizes: Sequence[tuple[int, int]],
    picture: tuple[int, int],
    gap: float,
) -> list[tuple[int, int] | None]:
    """The top left corner of each label in pixels; None for a small box without room for its label.

    boxes_xyxy: in pixels, the most important first. sizes, picture: (width, height) of each label and of the picture;
        a width of 0 means no label. gap: between a box and a label outside of it, for the frame.

    A label stands above its box, within, below or beside it, where it hides least. It may lie on another label only if
    its own box is larger than the label.
    """
    boxes = np.array(boxes_xyxy, np.float64).reshape(-1, 4)
    taken = np.zeros((0, 4))
    corners: list[tuple[int, int] | None] = []
    for number, (box, (width, height)) in enumerate(zip(boxes, sizes, strict=True)):
        places = _places(box, width, height, picture, gap)
        on_labels = _shared(places, taken).sum(axis=1)
        hidden = _shared(places, boxes) / np.maximum(_area(boxes), 1)
        best = int(np.lexsort((np.arange(len(places)), hidden.sum(axis=1).round(1), on_labels))[0])
        small = box[2] - box[0] < width or box[3] - box[1] < 2 * height
        crowded = on_labels[best] > 0 or np.delete(hidden[best], number).max(initial=0) > _HIDDEN
        if not width or (small and crowded):
            corners.append(None)
            continue
        taken = np.concatenate((taken, places[best : best + 1]))
        corners.append((round(places[best, 0]), round(places[best, 1])))
    return corners


def _places(box: Array, width: int, height: int, picture: tuple[int, int], gap: float) -> Array:
    """[P, 4] places where a label could stand, the usual one first: corners of the label, moved into the picture."""
    left, top, right, bottom = box
    lefts = (left - gap, right + gap - width)
    tops = (top - gap - height, top, bottom + gap, bottom - height)
    corners = [(round(x), round(y)) for y in tops for x in lefts]
    # Beside the box, for one that is flat or in a row of others.
    corners += [(round(right + gap), round(top)), (round(left - gap - width), round(top))]
    found = [
        (min(max(0, x), max(0, picture[0] - width)), min(max(0, y), max(0, picture[1] - height))) for x, y in corners
    ]
    return np.array([(x, y, x + width, y + height) for x, y in found], np.float64)


def _shared(places: Array, boxes: Array) -> Array:
    """[P, B] area of the intersection of each place with each box."""
    low = np.maximum(places[:, None, :2], boxes[None, :, :2])
    high = np.minimum(places[:, None, 2:], boxes[None, :, 2:])
    sides = np.maximum(high - low, 0)
    area: Array = sides[..., 0] * sides[..., 1]
    return area


def _area(boxes: Array) -> Array:
    area: Array = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area

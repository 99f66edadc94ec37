"""Random affine and perspective maps, and their effect on boxes and outlines.

A map is a matrix [3, 3] from canvas to image in continuous pixel coordinates: the first pixel spans 0 to 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.boxes import Boxes, areas, clipped
from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.outlines import Polygon

Matrix = NDArray[np.float64]

#: An object is kept if it is wider and higher than this many pixels,
SMALLEST_SIDE = 2.0
#: not longer than this many times its width,
LARGEST_ASPECT = 20.0
#: and if at least this share of its area, at the new scale, is in the image; the second is for outlined objects.
SMALLEST_SHARE, SMALLEST_OUTLINED_SHARE = 0.10, 0.01


def random_matrix(
    rng: np.random.Generator, options: DetectionAugmentation, canvas: tuple[int, int], size: int
) -> tuple[Matrix, float]:
    """A map drawn from `rng`, translate * shear * rotate and scale * perspective * centre; and the scale.

    canvas: (height, width) of what is mapped; its centre goes to the centre of the image, plus or minus `translate`.
    size: height and width of the image in pixels.
    """
    centre = np.array(((1, 0, -canvas[1] / 2), (0, 1, -canvas[0] / 2), (0, 0, 1)))
    # A stronger tilt would take a corner of the canvas behind the viewer.
    tilt = min(options.perspective, 1.8 / sum(canvas))
    perspective = np.array(((1, 0, 0), (0, 1, 0), (*rng.uniform(-tilt, tilt, 2), 1)))
    angle = math.radians(rng.uniform(-options.degrees, options.degrees))
    scale = rng.uniform(1 - options.scale, 1 + options.scale)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    turn = np.array(((cosine, sine, 0), (-sine, cosine, 0), (0, 0, 1)))
    along_x, along_y = np.tan(np.radians(rng.uniform(-options.shear, options.shear, 2)))
    shear = np.array(((1, along_x, 0), (along_y, 1, 0), (0, 0, 1)))
    x, y = rng.uniform(0.5 - options.translate, 0.5 + options.translate, 2) * size
    translate = np.array(((1, 0, x), (0, 1, y), (0, 0, 1)))
    return translate @ shear @ turn @ perspective @ centre, scale


def is_aligned(matrix: Matrix) -> bool:
    """Whether rows stay rows and columns stay columns, in their order."""
    off = matrix[0, 1], matrix[1, 0], matrix[2, 0], matrix[2, 1]
    return not any(off) and matrix[0, 0] > 0 and matrix[1, 1] > 0


def apply(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [..., 2] -> [..., 2]."""
    mapped = points @ matrix[:2, :2].T + matrix[:2, 2]
    if not matrix[2, :2].any():
        return np.asarray(mapped / matrix[2, 2])
    depth = points @ matrix[2, :2] + matrix[2, 2]
    return np.asarray(mapped / depth[..., None])


def map_labels(labels: Labels, matrix: Matrix, scale: float, canvas: tuple[int, int], size: int) -> Labels:
    """The objects of a canvas as they appear in an image of `size` x `size`, without those that are hardly visible.

    A box is the extent of its mapped corners, clipped to the image; for an object with an outline it is the extent of
    the visible part of the outline. Only boxes are mapped: the outlines of the result are those of the canvas.

    scale: of the map, apart from rotation, shear and perspective; areas are compared at this scale.
    """
    if not len(labels):
        return labels
    before = clipped(labels.boxes_xyxy, canvas[1], canvas[0])
    after = clipped(_mapped(matrix, before), size, size)
    outlined = labels.outlined
    if outlined.any():
        seen = (after[:, 2:] > after[:, :2]).all(axis=1)
        # Under an aligned map the extent of a whole outline is the mapped box.
        settled = is_aligned(matrix) & (_mapped(matrix, labels.boxes_xyxy) == after).all(axis=1)
        for row in np.flatnonzero(outlined & seen & ~settled):
            after[row] = _shown_extent(labels.outline(int(row)), matrix, canvas, size)
    rows = np.flatnonzero(_is_visible(before, after, scale, outlined))
    return labels.with_boxes(after).take(rows)


def _mapped(matrix: Matrix, boxes: Boxes) -> Boxes:
    """The extent of each mapped box."""
    if is_aligned(matrix):
        return boxes * np.tile(matrix.diagonal()[:2], 2) + np.tile(matrix[:2, 2], 2)
    return _extents(apply(matrix, _corners(boxes)))


def _is_visible(before: Boxes, after: Boxes, scale: float, outlined: NDArray[np.bool_]) -> NDArray[np.bool_]:
    width, height = after[:, 2] - after[:, 0], after[:, 3] - after[:, 1]
    aspect = np.maximum(width, height) / np.maximum(np.minimum(width, height), 1e-16)
    share = areas(after) / np.maximum(areas(before) * scale**2, 1e-16)
    wanted = np.where(outlined, SMALLEST_OUTLINED_SHARE, SMALLEST_SHARE)
    visible: NDArray[np.bool_] = (
        (width > SMALLEST_SIDE) & (height > SMALLEST_SIDE) & (aspect < LARGEST_ASPECT) & (share > wanted)
    )
    return visible


def _corners(boxes: Boxes) -> NDArray[np.float64]:
    """[B, 4] -> [B, 4, 2], around the box."""
    return boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)


def _extents(corners: NDArray[np.float64]) -> Boxes:
    return np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1)


def _shown_extent(
    polygons: tuple[Polygon, ...], matrix: Matrix, canvas: tuple[int, int], size: int
) -> NDArray[np.float64]:
    """float64 [4]; of size zero if the image shows nothing of them."""
    on_canvas = (clip_polygon(polygon, canvas[1], canvas[0]) for polygon in polygons)
    in_image = [clip_polygon(apply(matrix, polygon), size, size) for polygon in on_canvas if len(polygon)]
    points = np.concatenate([np.zeros((0, 2)), *in_image])
    return np.concatenate((points.min(axis=0), points.max(axis=0))) if len(points) else np.zeros(4)


def clip_polygon(polygon: Polygon, width: float, height: float) -> Polygon:
    """The part of a polygon [points, 2] within 0..width, 0..height; without points if there is none.

    Source: Sutherland and Hodgman 1974, "Reentrant polygon clipping", Communications of the ACM 17(1).
    """
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if high[0] <= 0 or high[1] <= 0 or low[0] >= width or low[1] >= height:
        return polygon[:0]
    for axis, bound in ((0, width), (1, height)):
        if low[axis] < 0:
            polygon = _clip_at(polygon, axis, 1, 0.0)
        if high[axis] > bound:
            polygon = _clip_at(polygon, axis, -1, bound)
    return polygon


def _clip_at(polygon: Polygon, axis: int, sign: int, bound: float) -> Polygon:
    """The part on one side of a line: where sign * (coordinate - bound) >= 0."""
    if not len(polygon):
        return polygon
    distance = sign * (polygon[:, axis] - bound)
    after, distance_after = np.roll(polygon, -1, axis=0), np.roll(distance, -1)
    crosses = (distance >= 0) != (distance_after >= 0)
    fraction = np.divide(distance, distance - distance_after, out=np.zeros_like(distance), where=crosses)
    crossing = polygon + fraction[:, None] * (after - polygon)
    both = np.stack((polygon, crossing), axis=1).reshape(-1, 2)
    clipped_polygon: Polygon = both[np.stack((distance >= 0, crosses), axis=1).ravel()]
    return clipped_polygon

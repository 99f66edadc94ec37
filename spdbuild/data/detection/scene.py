"""Images laid out on a canvas, and the part of it that an image shows: only what is shown is composed.

A canvas is four times as large as the image that a mosaic becomes. It is never filled: its images are cropped to the
part that the map shows, and that part is scaled in one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spdbuild.data.detection.boxes import clipped
from spdbuild.data.detection.geometry import Matrix, apply, is_aligned
from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.raster import Raster
from spdbuild.data.detection.table import Pixels
from spdbuild.data.letterbox import FILL, Letterbox


@dataclass(frozen=True, eq=False)
class PlacedImage:
    """An image on a canvas: pixels [height, width, 3], and where its first pixel lies, possibly outside the canvas."""

    pixels: Pixels
    left: int
    top: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A canvas with images that do not overlap, and the objects on it."""

    height: int
    width: int
    images: tuple[PlacedImage, ...]
    labels: Labels

    @property
    def size(self) -> tuple[int, int]:
        return self.height, self.width

    def window(self, left: int, top: int, right: int, bottom: int) -> Pixels:
        """The pixels of a part of the canvas, [bottom - top, right - left, 3]; grey where no image is."""
        pixels = np.full((bottom - top, right - left, 3), FILL, np.uint8)
        for placed in self.images:
            height, width = placed.pixels.shape[:2]
            x0, x1 = max(left, placed.left), min(right, placed.left + width)
            y0, y1 = max(top, placed.top), min(bottom, placed.top + height)
            if x0 < x1 and y0 < y1:
                part = placed.pixels[y0 - placed.top : y1 - placed.top, x0 - placed.left : x1 - placed.left]
                pixels[y0 - top : y1 - top, x0 - left : x1 - left] = part
        return pixels


def mosaic(images: Sequence[tuple[Pixels, Labels]], size: int, centre: tuple[int, int]) -> Scene:
    """Four images that meet at `centre` (x, y) of a canvas of 2 size x 2 size: the upper two, then the lower two.

    What lies outside the canvas is lost; boxes are clipped to it.
    """
    x, y = centre
    placed = []
    for position, (pixels, _) in enumerate(images):
        height, width = pixels.shape[:2]
        left = x - width if position % 2 == 0 else x
        top = y - height if position < 2 else y
        placed.append(PlacedImage(pixels, left, top))
    shifts = np.array([(image.left, image.top) for image in placed], np.float64)
    joined = Labels.join([labels for _, labels in images])
    moved = joined.shifted(shifts.repeat([len(labels) for _, labels in images], axis=0))
    within = clipped(moved.boxes_xyxy, 2 * size, 2 * size)
    return Scene(2 * size, 2 * size, tuple(placed), moved.with_boxes(within))


def letterboxed(pixels: Pixels, labels: Labels, size: int) -> Scene:
    """One image, whose longer side is already `size`, in the middle of a canvas of size x size."""
    box = Letterbox.fit((pixels.shape[0], pixels.shape[1]), (size, size))
    return Scene(size, size, (PlacedImage(pixels, box.left, box.top),), labels.shifted(np.array((box.left, box.top))))


def render(scene: Scene, matrix: Matrix, size: int, raster: Raster) -> tuple[Pixels, Matrix]:
    """The scene under a map, uint8 [size, size, 3], and the map that was used.

    A map that is aligned to the axes becomes a scaling between whole pixels, which is several times faster; the map
    used differs from the one given by less than a pixel, and boxes must follow it.
    """
    if is_aligned(matrix):
        return _scale(scene, matrix, size, raster)
    return _warp(scene, matrix, size, raster), matrix


def _grey(size: int) -> Pixels:
    return np.full((size, size, 3), FILL, np.uint8)


def _scale(scene: Scene, matrix: Matrix, size: int, raster: Raster) -> tuple[Pixels, Matrix]:
    left, right, x0, x1 = _span(matrix[0, 0], matrix[0, 2], scene.width, size)
    top, bottom, y0, y1 = _span(matrix[1, 1], matrix[1, 2], scene.height, size)
    if right <= left or bottom <= top or x1 <= x0 or y1 <= y0:
        return _grey(size), matrix
    pixels = scene.window(left, top, right, bottom)
    shape = (y1 - y0, x1 - x0)
    if pixels.shape[:2] != shape:
        pixels = raster.scaled(pixels, shape)
    if shape != (size, size):
        image = _grey(size)
        image[y0:y1, x0:x1] = pixels
        pixels = image
    x, y = (x1 - x0) / (right - left), (y1 - y0) / (bottom - top)
    used = np.array(((x, 0, x0 - x * left), (0, y, y0 - y * top), (0, 0, 1)))
    return pixels, used


def _span(scale: float, shift: float, length: int, size: int) -> tuple[int, int, int, int]:
    """Along one axis: first and last of the canvas pixels that the image shows, and of the pixels they go to."""
    start, end = round(max(0.0, shift)), round(min(float(size), shift + scale * length))
    first, last = (min(max(round((edge - shift) / scale), 0), length) for edge in (start, end))
    return first, last, start, end


def _warp(scene: Scene, matrix: Matrix, size: int, raster: Raster) -> Pixels:
    """Compose and sample only the window that the image shows."""
    left, top, right, bottom = _shown(scene, matrix, size)
    if right <= left or bottom <= top:
        return _grey(size)
    from_window = matrix @ np.array(((1, 0, left), (0, 1, top), (0, 0, 1)))
    return raster.warped(scene.window(left, top, right, bottom), from_window, size)


def _shown(scene: Scene, matrix: Matrix, size: int) -> tuple[int, int, int, int]:
    """The window of the canvas that is in the image, with a margin for the interpolation."""
    inverse: Matrix = np.linalg.inv(matrix).astype(np.float64)
    inverse /= inverse[2, 2]
    corners = np.array(((0, 0), (size, 0), (size, size), (0, size)), np.float64)
    depth = corners @ inverse[2, :2] + inverse[2, 2]
    if depth.min() < 1e-3:  # a corner of the image sees the horizon
        return 0, 0, scene.width, scene.height
    places = apply(inverse, corners)
    low, high = np.floor(places.min(axis=0)) - 2, np.ceil(places.max(axis=0)) + 2
    left, top = np.maximum(low, 0).astype(int)
    right, bottom = np.minimum(high, (scene.width, scene.height)).astype(int)
    return int(left), int(top), int(right), int(bottom)

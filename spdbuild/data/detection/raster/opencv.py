"""Pixels moved and recoloured by OpenCV, in integer arithmetic throughout."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from spdbuild.data.detection.geometry import Matrix
from spdbuild.data.detection.table import Pixels
from spdbuild.data.letterbox import FILL

#: Below this factor a bilinear sample would skip pixels of the image, so areas are averaged.
_SMALLEST_SAMPLED = 0.5

#: From coordinates in which the first pixel spans 0 to 1 to those in which its centre is 0.
_TO_CENTRES = np.array(((1.0, 0, -0.5), (0, 1, -0.5), (0, 0, 1)))
_FROM_CENTRES = np.array(((1.0, 0, 0.5), (0, 1, 0.5), (0, 0, 1)))

#: The steps of hue in a full turn in OpenCV, and those of a byte.
_TURN, _STEPS = 180, np.arange(256)

#: One in this many rows and columns is searched first for colours.
_COARSE = 32


class OpencvRaster:
    """Hue has 180 steps, saturation and value 256, as in the published training of YOLOv5."""

    def __init__(self) -> None:
        if get_worker_info() is not None:
            # Each worker process has one core; more threads would take those of the others.
            cv2.setNumThreads(0)

    def scaled(self, pixels: Pixels, size: tuple[int, int]) -> Pixels:
        smaller = min(size[0] / pixels.shape[0], size[1] / pixels.shape[1]) < _SMALLEST_SAMPLED
        sampling = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(pixels, (size[1], size[0]), interpolation=sampling), np.uint8)

    def warped(self, pixels: Pixels, matrix: Matrix, size: int) -> Pixels:
        between_centres = _TO_CENTRES @ matrix @ _FROM_CENTRES
        fill = (FILL, FILL, FILL)
        if matrix[2, :2].any():
            warped = cv2.warpPerspective(pixels, between_centres, (size, size), borderValue=fill)
        else:
            affine = between_centres[:2] / between_centres[2, 2]
            warped = cv2.warpAffine(pixels, affine, (size, size), borderValue=fill)
        return np.asarray(warped, np.uint8)

    def recoloured(self, pixels: Pixels, hue: float, saturation: float, value: float) -> Pixels:
        values = _table(np.minimum(_STEPS * value, 255))
        grey = _grey(pixels)
        if grey is not None:
            # As in thermal and many medical images: only the value can change.
            return np.asarray(cv2.cvtColor(cv2.LUT(grey, values), cv2.COLOR_GRAY2RGB), np.uint8)
        tables = (_table(np.rint(_STEPS * hue) % _TURN), _table(np.minimum(_STEPS * saturation, 255)), values)
        planes = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
        scaled = [cv2.LUT(plane, table) for plane, table in zip(planes, tables, strict=True)]
        return np.asarray(cv2.cvtColor(cv2.merge(scaled), cv2.COLOR_HSV2RGB), np.uint8)


def _table(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(values).astype(np.uint8)


def _grey(pixels: Pixels) -> Pixels | None:
    """The one plane of an image without colours, else None; for most coloured images a few pixels decide."""
    few = pixels[::_COARSE, ::_COARSE]
    if (few[:, :, :1] != few[:, :, 1:]).any():
        return None
    red, green, blue = cv2.split(pixels)
    return np.asarray(red, np.uint8) if np.array_equal(red, green) and np.array_equal(green, blue) else None

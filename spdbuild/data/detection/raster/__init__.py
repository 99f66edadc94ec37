"""Scale, warp and recolour the pixels of training images: with OpenCV if it is installed, otherwise with PyTorch."""

from __future__ import annotations

import importlib.util
from typing import Literal, Protocol

from spdbuild.data.detection.geometry import Matrix
from spdbuild.data.detection.options import Backend
from spdbuild.data.detection.table import Pixels
from spdbuild.errors import ArgumentError


class Raster(Protocol):
    """Pixels are uint8 [height, width, 3], RGB, in any memory layout; arguments are not changed."""

    def scaled(self, pixels: Pixels, size: tuple[int, int]) -> Pixels:
        """The image at (height, width), bilinear; a smaller one skips no pixel."""
        ...

    def warped(self, pixels: Pixels, matrix: Matrix, size: int) -> Pixels:
        """The image of size x size under a map from `pixels` to it, bilinear, with grey outside."""
        ...

    def recoloured(self, pixels: Pixels, hue: float, saturation: float, value: float) -> Pixels:
        """Multiply each of hue, saturation and value by its factor.

        Hue counts from red and wraps around; saturation and value are clipped at their maximum.
        """
        ...


def resolve(backend: Backend) -> Literal["opencv", "torch"]:
    """The library to use; "auto" is OpenCV if it is installed. ArgumentError if the one named is not."""
    installed = importlib.util.find_spec("cv2") is not None
    if backend == "auto":
        return "opencv" if installed else "torch"
    if backend == "opencv" and not installed:
        message, hint = "the augmentation backend opencv is not installed", 'pip install "spdbuild[opencv]"'
        raise ArgumentError(message, argument="backend", hint=hint)
    return backend


def open_raster(backend: Backend) -> Raster:
    """Import the library, here and not earlier: a process that augments nothing needs none."""
    if resolve(backend) == "opencv":
        from spdbuild.data.detection.raster.opencv import OpencvRaster

        return OpencvRaster()
    from spdbuild.data.detection.raster.pytorch import TorchRaster

    return TorchRaster()

"""Pixels moved and recoloured by PyTorch's operators."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from spdbuild.data.detection.geometry import Matrix
from spdbuild.data.detection.pixels import scaled
from spdbuild.data.detection.raster.colour import scale_hsv
from spdbuild.data.detection.table import Pixels
from spdbuild.data.letterbox import FILL


class TorchRaster:
    """Scaling has antialiasing; colours are rounded once, at the end."""

    def scaled(self, pixels: Pixels, size: tuple[int, int]) -> Pixels:
        return scaled(pixels, size)

    def warped(self, pixels: Pixels, matrix: Matrix, size: int) -> Pixels:
        inverse: Matrix = np.linalg.inv(matrix).astype(np.float64)
        inverse /= inverse[2, 2]
        height, width = pixels.shape[:2]
        to_unit = np.array(((2 / width, 0, -1), (0, 2 / height, -1), (0, 0, 1)))
        grid = _grid(torch.from_numpy(to_unit @ inverse).to(torch.float32), size)
        image = torch.from_numpy(pixels).permute(2, 0, 1).to(torch.float32)
        # The padding is zero, so grey must be zero, too.
        shown = grid_sample(image[None] - FILL, grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)
        return _pixels((shown[0] + (FILL + 0.5)).to(torch.uint8))

    def recoloured(self, pixels: Pixels, hue: float, saturation: float, value: float) -> Pixels:
        # NumPy takes a third of the time that PyTorch needs to separate planes of bytes.
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return _pixels(scale_hsv(torch.from_numpy(planes), hue, saturation, value))


def _pixels(image: Tensor) -> Pixels:
    """[3, H, W] -> [H, W, 3], the same memory."""
    return image.numpy().transpose(1, 2, 0)


def _grid(inverse: Tensor, size: int) -> Tensor:
    """For each pixel's centre its position under `inverse`, [size, size, 2]."""
    along = torch.arange(size, dtype=torch.float32) + 0.5
    terms = [inverse[i, 0] * along[None] + (inverse[i, 1] * along + inverse[i, 2])[:, None] for i in (0, 1)]
    if inverse[2, :2].any():
        depth = inverse[2, 0] * along[None] + (inverse[2, 1] * along + inverse[2, 2])[:, None]
        terms = [term / depth for term in terms]
    return torch.stack(terms, dim=-1)

"""Images sheared, shifted and rotated, each by its own amount; all are [N, C, H, W], uint8 or float32.

Sampling is nearest-neighbour with black outside, as torchvision's affine and rotate do it for each image alone.
Often the last bit of a position decides which pixel is nearest, so everything is computed in torchvision's order.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from spdbuild.data.draws import sent

#: The two rows of an affine map from a position in the result to one in the image, both in pixels from the centre.
Matrix = tuple[float, float, float, float, float, float]


def shear_x(images: Tensor, slopes: list[float]) -> Tensor:
    """Each row moved to the left by its distance from the top times the slope."""
    height = images.shape[-2]
    tangents = [math.tan(_angle(slope)) for slope in slopes]
    return _sampled(images, [(1, tangent, tangent * height / 2, 0, 1, 0) for tangent in tangents])


def shear_y(images: Tensor, slopes: list[float]) -> Tensor:
    """Each column moved up by its distance from the left times the slope."""
    y, x = (-side / 2 for side in images.shape[-2:])
    tangents = [math.sin(_angle(slope)) / math.cos(_angle(slope)) for slope in slopes]
    return _sampled(images, [(1, 0, 0, tangent, 1, y - tangent * x - y) for tangent in tangents])


def translate_x(images: Tensor, pixels: list[float]) -> Tensor:
    """Moved to the right."""
    return _sampled(images, [(1, 0, -shift, 0, 1, 0) for shift in pixels])


def translate_y(images: Tensor, pixels: list[float]) -> Tensor:
    """Moved down."""
    return _sampled(images, [(1, 0, 0, 0, 1, -shift) for shift in pixels])


def rotate(images: Tensor, degrees: list[float]) -> Tensor:
    """Rotated counter-clockwise about the centre."""
    angles = [math.radians(angle % 360) for angle in degrees]
    return _sampled(images, [(math.cos(a), -math.sin(a), 0, math.sin(a), math.cos(a), 0) for a in angles])


def _angle(slope: float) -> float:
    # Via degrees, which is what torchvision's affine takes.
    return math.radians(math.degrees(math.atan(slope)))


def _sampled(images: Tensor, matrices: list[Matrix]) -> Tensor:
    rows = torch.from_numpy(np.array(matrices, dtype=np.float32)).view(-1, 2, 3)
    places = _places(sent(rows, images.device), *images.shape[-2:])
    changed = grid_sample(images.to(torch.float32), places, mode="nearest", align_corners=False)
    # Via int16: on a CPU the cast from float32 to uint8 is not vectorized.
    return changed.to(torch.int16).to(torch.uint8) if images.dtype == torch.uint8 else changed


def _places(matrices: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel comes from, [N, H, W, 2], x and y from -1 to 1 as for grid_sample; matrices: [N, 2, 3].

    addcmul rounds a product and a sum at once, like the matrix product in torchvision, and unlike that it does not
    depend on the precision that is set for matrix products.
    """
    x = torch.arange(width, device=matrices.device) - (width - 1) / 2
    y = torch.arange(height, device=matrices.device) - (height - 1) / 2
    matrices = matrices / sent(torch.tensor([[width / 2], [height / 2]]), matrices.device)
    by_x, by_y, shift = matrices[..., None, None].unbind(2)  # [N, 2, 1, 1] each
    # As a whole plane: addcmul takes twice as long when it broadcasts one number over a row.
    y = y[:, None].expand(height, width).contiguous()
    return torch.addcmul(by_x * x, y, by_y).add_(shift).permute(0, 2, 3, 1)

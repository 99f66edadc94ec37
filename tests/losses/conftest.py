"""What tests of the detection loss share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


@pytest.fixture
def published_anchors() -> Tensor:
    """YOLOv5's anchors [L, A, 2] in grid cells, from their pixels and strides."""
    pixels = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]]
    return torch.tensor(pixels).view(3, 3, 2) / torch.tensor([8, 16, 32]).view(3, 1, 1)

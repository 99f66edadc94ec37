"""Images that a program holds in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spdbuild.data.files.pictures import picture
from spdbuild.errors import ArgumentError


@pytest.mark.parametrize(
    "given",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((0, 5), np.float32),
        torch.zeros(3, 0, 5).byte(),
        Image.new("RGB", (5, 0)),
    ],
    ids=["array", "grey", "tensor", "Pillow"],
)
def test_an_image_without_pixels_is_refused(given: Any) -> None:
    with pytest.raises(ArgumentError, match="error: image 2 is 5x0: it has no pixels"):
        picture(given, "image 2")

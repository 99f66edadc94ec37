"""Images of noise with labels: what a data set gives as its sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from spdbuild.data.draws import generator
from spdbuild.data.files.images import ArrayImages

_COUNT = 4


def noise_images(classes: Sequence[str], size: int) -> ArrayImages:
    """Four images [4, 3, size, size], the same at every call, labelled with the classes in turn."""
    images = torch.randint(256, (_COUNT, 3, size, size), dtype=torch.uint8, generator=generator("noise", size))
    return ArrayImages(images, torch.arange(_COUNT) % len(classes), tuple(classes))

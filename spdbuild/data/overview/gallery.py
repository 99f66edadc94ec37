"""Batches as a classifier gets them, each image with its class below."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from PIL import Image
from torch import Tensor

from spdbuild.data.loading.loader import Loader
from spdbuild.pictures.drawing import arrange, captioned, thumbnail

#: Pixels of the longer side of an image on the sheet, and the width of its caption.
_SIDE = 160
#: Smaller shares of a class in a mixed image cannot be seen.
_SMALLEST_SHARE = 0.005


def gallery(loader: Loader, *, columns: int = 4, most: int = 16) -> Image.Image:
    """The first images of the loader's current epoch, at most `most`, in rows; pixels from 0 to 1, not normalised."""
    images = (image for batch in loader for image in _drawn(*batch, loader.image_set.classes))
    return arrange(list(islice(images, most)), columns)


def _drawn(images: Tensor, labels: Tensor, classes: Sequence[str]) -> Iterator[Image.Image]:
    pixels = images.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).cpu()
    for image, label in zip(pixels, labels.cpu(), strict=True):
        drawn = thumbnail(Image.fromarray(image.contiguous().numpy()), _SIDE)
        yield captioned(drawn, _name(label, classes), width=_SIDE)


def _name(label: Tensor, classes: Sequence[str]) -> str:
    """The name of a class; for a mixed image those of its classes with their shares, the largest first."""
    if not label.ndim:
        return classes[int(label)]
    shares = sorted(zip(label.tolist(), classes, strict=True), reverse=True)
    return ", ".join(f"{name} {share:.0%}" for share, name in shares if share >= _SMALLEST_SHARE)

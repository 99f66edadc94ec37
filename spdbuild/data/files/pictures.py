"""Images that a program holds in memory and gives where a file is expected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from spdbuild.errors import ArgumentError

_FORMS = (
    "an image is uint8: an array [H, W, 3] or [H, W], a tensor [3, H, W] or [1, H, W], or one of Pillow; "
    "grey ones may be uint16 or float32, as `levels` of the data set says"
)
#: What grey images may hold; Pillow has no other numbers that `levels` could apply to.
_GREY = (np.uint8, np.uint16, np.float32)


@dataclass(frozen=True, eq=False)
class Picture:
    """An image in memory. path: the name that stands for the path of its file."""

    path: Path
    image: Image.Image


#: Where an image comes from.
Source = Path | Picture


def path_of(source: Source) -> Path:
    """The path of a file, or the name of a picture."""
    return source.path if isinstance(source, Picture) else source


def is_image(given: Any) -> bool:
    """Whether `given` is one image, and neither a path nor several images."""
    if isinstance(given, np.ndarray | Tensor):
        return given.ndim in (2, 3)
    return isinstance(given, Image.Image)


def picture(given: Any, name: str) -> Picture:
    """An image of Pillow, an array or a tensor as a picture.

    Raises ArgumentError for other shapes and types of numbers, and for an image without pixels.
    """
    image = given if isinstance(given, Image.Image) else _image(given, name)
    if 0 in image.size:
        message = f"{name} is {image.width}x{image.height}: it has no pixels"
        raise ArgumentError(message, argument="sources")
    return Picture(Path(name), image)


def _image(given: Any, name: str) -> Image.Image:
    pixels = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    if isinstance(given, Tensor) and pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    grey = pixels.ndim == 2 and pixels.dtype in _GREY
    if not grey and not (pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8):
        shape = f" {'x'.join(map(str, given.shape))} of {pixels.dtype}" if hasattr(given, "shape") else ""
        message = f"{name} is {type(given).__name__}{shape}"
        raise ArgumentError(message, argument="sources", hint=_FORMS)
    return Image.fromarray(np.ascontiguousarray(pixels))

"""What an image file stores that Pillow's pixels no longer show: further bands, and more than 8 bits of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

#: TIFF's tags. Source: TIFF 6.0, section 8, and for what a number is ("sample format") section 19.
_WIDTH, _HEIGHT, _BITS, _SAMPLES, _PLANES, _EXTRA, _NUMBERS = 256, 257, 258, 277, 284, 338, 339
#: The sample formats of whole numbers from 0 on, and of floating point numbers. Where each band is a plane of its own.
_UNSIGNED, _FLOATING = 1, 3
_SEPARATE = 2
#: Bytes of the header of a TIFF, and those of a BigTIFF, which has this number in its third byte.
_HEAD, _BIG_HEAD, _BIG = 8, 16, 43

_TOO_MANY = "has {} bands, of which a network gets {}: write an RGB composite"


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of an image that has been opened, as its file stores them: before EXIF's orientation turns it.

    From version 11 on, Pillow gives a TIFF the size that it will have once it is loaded, which turns it.
    """
    if isinstance(image, TiffImageFile):
        return image.tag_v2[_HEIGHT], image.tag_v2[_WIDTH]
    return image.height, image.width


def is_deep_colour(image: Image.Image) -> bool:
    """Whether an image that is not grey has more than 8 bits per channel, of which Pillow gives the upper 8.

    Of a PNG this is known until its pixels are loaded.
    """
    if len(image.getbands()) == 1:
        return False
    if isinstance(image, TiffImageFile):
        return any(bits > 8 for bits in image.tag_v2.get(_BITS, ()))
    # The last entry says how the bytes of the file become pixels, such as RGB;16B.
    return image.format == "PNG" and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def is_misread(image: Image.Image) -> bool:
    """Whether it is colour of more than 8 bits with a plane for each band, of which Pillow takes bytes for pixels."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PLANES) == _SEPARATE and is_deep_colour(image)


def grey_values(image: Image.Image) -> NDArray[np.generic]:
    """The values of a grey image as its file means them: Pillow reads whole numbers of 32 bits as signed ones."""
    values = np.asarray(image)
    if image.mode != "I" or not isinstance(image, TiffImageFile):
        return values
    unsigned = image.tag_v2.get(_BITS) == (32,) and image.tag_v2.get(_NUMBERS, (_UNSIGNED,)) == (_UNSIGNED,)
    return values.view(np.uint32) if unsigned else values


def lost_bands(image: Image.Image) -> str:
    """Which bands of a file its pixels do not show, in a person's words; empty if they show all."""
    bands = image.tag_v2.get(_SAMPLES, 1) if isinstance(image, TiffImageFile) else 0
    if bands <= len(image.getbands()):
        return ""
    shown = len([band for band in image.getbands() if band not in "Aa"])
    return _TOO_MANY.format(bands, "the first" if shown == 1 else f"the first {shown}")


def fourth_band(image: Image.Image) -> str:
    """Why what Pillow takes for transparency is none; empty if the file calls it that."""
    if not isinstance(image, TiffImageFile) or _EXTRA in image.tag_v2:
        return ""
    return _TOO_MANY.format(image.tag_v2[_SAMPLES], 3)


def unread_tiff(path: Path) -> str:
    """Why Pillow does not know the pixels of a TIFF, in a person's words; empty if the file is none."""
    try:
        tags = _tags(path)
    # Pillow's readers raise what they like for damaged files, and SyntaxError for those of other formats.
    except Exception:
        return ""
    bands, bits = tags.get(_SAMPLES, 1), max(tags.get(_BITS, (1,)))
    if bands > 3:
        return _TOO_MANY.format(bands, 3)
    numbers = "floating point numbers" if max(tags.get(_NUMBERS, (1,))) == _FLOATING else "whole numbers"
    what = f"{numbers} of {bits} bits" + (f" in {bands} bands" if bands > 1 else "")
    return f"has pixels of {what}, which are not read: write grey of 8, 16 or 32 bits, or RGB of 8"


def _tags(path: Path) -> ImageFileDirectory_v2:
    """The tags of the first image of a TIFF."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        head += file.read(_BIG_HEAD - _HEAD) if head[2] == _BIG else b""
        tags = ImageFileDirectory_v2(head)
        file.seek(tags.next)
        tags.load(file)
    return tags

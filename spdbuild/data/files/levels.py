"""Grey levels: how values of more than 8 bits become the 256 that an image has here."""

from __future__ import annotations

import numpy as np
from PIL import Image

from spdbuild.data.files.bands import grey_values, is_deep_colour
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError

#: The value that becomes black and the value that becomes white; empty: 16-bit values keep their upper 8 bits.
Levels = tuple[float, float] | None

#: Levels that a 16-bit image of 14 bits keeps; one of as many or fewer looks dark or flat.
_FEW = 64

#: What to do about a colour image of more than 8 bits, to which no levels apply: Pillow gives only its upper bits.
COLOUR_REMEDY = "levels apply to grey only, so write it as 8-bit RGB, scaled to the range of the data"


def require_levels(data_set: object) -> None:
    """Refuse `levels` of a data set that are not finite, or whose black is not below its white, with ArgumentError."""
    levels: Levels = data_set.levels  # type: ignore[attr-defined]
    require_range(data_set, "levels")
    if levels is not None and levels[0] >= levels[1]:
        low, high = levels
        raise ArgumentError(f"levels must grow from black to white, got {low:g} to {high:g}", argument="levels")


def is_deep(image: Image.Image) -> bool:
    """Whether an image is grey with more than 8 bits: whole numbers of 16 or 32 bits, or floating point numbers."""
    return image.mode.startswith("I") or image.mode == "F"


def to_grey(image: Image.Image, levels: tuple[float, float]) -> Image.Image:
    """A deep image with 8 bits: linear between `levels`, black below, white above; NaN is black."""
    black, white = levels
    shares = (grey_values(image).astype(np.float64) - black) / (white - black)
    return Image.fromarray(np.rint(255 * np.clip(np.nan_to_num(shares), 0, 1)).astype(np.uint8))


def lost_levels(image: Image.Image, levels: Levels) -> str:
    """What becomes of an image of more than 8 bits that keeps few levels, in a person's words; else empty.

    It loads the pixels; call it before anything else does, for the sake of `is_deep_colour`.
    """
    if is_deep_colour(image):
        return _lost_colours(image) if levels is None else ""
    if not is_deep(image) or (levels is None and not image.mode.startswith("I;16")):
        return ""
    values = grey_values(image)
    least, largest = float(np.nanmin(values)), float(np.nanmax(values))
    if levels is not None:
        outside = largest <= levels[0] or least >= levels[1]
        return f"has values from {least:g} to {largest:g}, all outside of levels: {list(levels)}" if outside else ""
    left = (int(largest) >> 8) - (int(least) >> 8) + 1
    if left > _FEW:
        return ""
    number = _are_left(left, "grey level")
    here = f"set levels to the range of the data, here [{least:g}, {largest:g}]"
    return f"is a 16-bit image of values from {least:g} to {largest:g}: {number}; {here}"


def _lost_colours(image: Image.Image) -> str:
    """The same for a colour image, of which the upper 8 bits are all that is known."""
    extrema = image.convert("RGB").getextrema()
    left = max(int(largest) - int(least) + 1 for least, largest in extrema)  # type: ignore[misc]
    if left > _FEW:
        return ""
    return f"is a 16-bit colour image: {_are_left(left, 'level')} of each colour; {COLOUR_REMEDY}"


def _are_left(count: int, what: str) -> str:
    return f"1 {what} is left" if count == 1 else f"{count} {what}s are left"

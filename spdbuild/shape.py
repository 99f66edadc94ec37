"""Sizes of tensors without tensors."""

from __future__ import annotations

from math import prod

from spdbuild.errors import ShapeError
from spdbuild.wording.quantities import shapes_text

#: No single axis may be longer; what is longer is a typing mistake, and is refused before it costs memory.
MAX_SIZE = 2**31 - 1

#: One number for both axes, or (height, width).
Size = int | tuple[int, int]

#: (top, bottom), (left, right), in pixels.
Sides = tuple[tuple[int, int], tuple[int, int]]


class Shape(tuple[int, ...]):
    """The sizes of one sample, channels first and without the batch: `Shape(3, 224, 224)`, `Shape(512)`."""

    def __new__(cls, *sizes: int) -> Shape:
        if not sizes or any(size < 1 for size in sizes):
            raise ShapeError(f"every size must be at least 1, got {shapes_text([sizes]) or 'none'}")
        if max(sizes) > MAX_SIZE:
            raise ShapeError(f"a size of {max(sizes)} is too large")
        return super().__new__(cls, sizes)

    @property
    def channels(self) -> int:
        return self[0]

    @property
    def height(self) -> int:
        return self._image()[1]

    @property
    def width(self) -> int:
        return self._image()[2]

    @property
    def pixels(self) -> int:
        """Number of positions that share the channels: 1 for a vector."""
        return prod(self[1:])

    @property
    def elements(self) -> int:
        return prod(self)

    def _image(self) -> Shape:
        if len(self) != 3:
            raise ShapeError(f"needs an image (channels, height, width), got {self}")
        return self

    def __str__(self) -> str:
        return shapes_text([self])

    def __repr__(self) -> str:
        return f"Shape{tuple(self)}"

    def __getnewargs__(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(self)


def pair(value: Size) -> tuple[int, int]:
    """(height, width) of an argument that may be one number for both."""
    return (value, value) if isinstance(value, int) else value


def sides(padding: Size | Sides) -> Sides:
    """What lies on each side of an image for one number, (height, width), or all four."""
    height, width = (padding, padding) if isinstance(padding, int) else padding
    return pair(height), pair(width)


def window_output(
    size: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1, ceil: bool = False
) -> int:
    """Number of places of a window of `kernel` taps that slides over `size` padded pixels of one axis.

    ceil: a last window that reaches beyond the padding counts too, if it does not begin behind the axis.
    """
    span = dilation * (kernel - 1) + 1
    padded = size + before + after
    places = (padded - span + (stride - 1 if ceil else 0)) // stride + 1
    if ceil and (places - 1) * stride >= size + before:
        places -= 1
    if places < 1:
        raise ShapeError(f"a window of {span} pixels does not fit into {padded} (size {size} and its padding)")
    return places

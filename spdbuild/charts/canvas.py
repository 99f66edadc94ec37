"""A canvas with smooth lines and texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spdbuild.charts.fonts import Colour, draw_text, text_height, text_length
from spdbuild.wording.phrases import printable

INK, QUIET, GRID, PAPER = "#222222", "#666666", "#e4e4e4", "#ffffff"

Point = tuple[float, float]
#: Which point of a text is at the given place: left, middle or right; top or middle.
Anchor = Literal["lt", "lm", "mt", "mm", "rt", "rm"]
#: Which share of a text stands before its place, by the first letter of the anchor.
_BEFORE = {"l": 0.0, "m": 0.5, "r": 1.0}
#: The lengths of dashes, each followed by that of the gap after it, in units of the canvas.
Dashes = tuple[float, ...]

#: Pixels per unit in the finished picture.
_DENSITY = 2


class Canvas:
    """A white picture whose unit is a pixel of a standard screen.

    finer: how many times finer it is drawn than it is in the end, which smooths the edges of slanted strokes.
    """

    def __init__(self, width: float, height: float, finer: int = 2) -> None:
        self._finer, self._scale = finer, _DENSITY * finer
        size = (finer * round(_DENSITY * width), finer * round(_DENSITY * height))
        self._image = Image.new("RGB", size, PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: Sequence[Point], colour: str, width: float = 1, dashes: Dashes | None = None) -> None:
        """A stroke through all points with round ends and corners."""
        for part in _dashed(points, dashes) if dashes else [points]:
            scaled = [self._at(point) for point in part]
            self._draw.line(scaled, fill=colour, width=max(1, round(width * self._scale)), joint="curve")
            if width > 1:
                self.dot(part[0], colour, width / 2)
                self.dot(part[-1], colour, width / 2)

    def dot(self, at: Point, colour: str, radius: float) -> None:
        (x, y), reach = self._at(at), radius * self._scale
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)

    def mosaic(self, corner: Point, colours: NDArray[np.uint8], cell: Point) -> None:
        """Rectangles side by side, of width and height `cell`.

        colours: [rows, columns, 3].
        """
        edges = [
            np.round((start + side * np.arange(count + 1)) * self._scale).astype(int)
            for start, side, count in zip(corner, cell, (colours.shape[1], colours.shape[0]), strict=True)
        ]
        pixels = colours.repeat(np.diff(edges[1]), axis=0).repeat(np.diff(edges[0]), axis=1)
        self._image.paste(Image.fromarray(pixels), (int(edges[0][0]), int(edges[1][0])))

    def text(self, at: Point, text: str, size: float = 11, anchor: Anchor = "lt", colour: str = INK) -> None:
        """A text in one line; line breaks and other control characters are escaped."""
        _write(self._draw, self._at(at), printable(text), round(size * self._scale), anchor, colour)

    def upright(self, at: Point, text: str, size: float = 11, anchor: Anchor = "mm", colour: str = INK) -> None:
        """A text that reads from bottom to top; `anchor` is that of the text before it is rotated."""
        text, pixels = printable(text), round(size * self._scale)
        length, height = math.ceil(text_length(text, pixels)), 2 * sum(text_height(text, pixels))
        mask = Image.new("L", (max(1, length), height))
        _write(ImageDraw.Draw(mask), (0, height / 2), text, pixels, "lm", 255)
        x, y = self._at(at)
        corner = round(x - height / 2), round(y - (1 - _BEFORE[anchor[0]]) * length)
        self._image.paste(colour, corner, mask.transpose(Image.Transpose.ROTATE_90))

    def finished(self) -> Image.Image:
        """The picture, twice as wide and as high in pixels as in units."""
        return self._image.reduce(self._finer) if self._finer > 1 else self._image

    def _at(self, point: Point) -> Point:
        return point[0] * self._scale, point[1] * self._scale


def text_width(text: str, size: float = 11) -> float:
    """The width of a text on a canvas, in its units."""
    text = printable(text)
    # As finely as most canvases are drawn.
    scale = 2 * _DENSITY
    return text_length(text, round(size * scale)) / scale


def _write(draw: ImageDraw.ImageDraw, at: Point, text: str, size: int, anchor: Anchor, colour: Colour) -> None:
    above, below = text_height(text, size)
    left = at[0] - _BEFORE[anchor[0]] * text_length(text, size)
    baseline = at[1] + (above if anchor[1] == "t" else (above - below) / 2)
    draw_text(draw, (left, baseline), text, size, colour)


def _dashed(points: Sequence[Point], dashes: Dashes) -> list[list[Point]]:
    """The drawn parts of a dashed stroke."""
    lengths = cycle(dashes)
    parts, part, drawn, left = [], [points[0]], True, next(lengths)
    for start, end in zip(points, points[1:], strict=False):
        length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
        gone = 0.0
        while gone + left < length:
            gone += left
            share = gone / length
            turn = (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            if drawn:
                parts.append([*part, turn])
            drawn = not drawn
            part, left = [turn], next(lengths)
        left -= length - gone
        part.append(end)
    return [*parts, part] if drawn and len(part) > 1 else parts

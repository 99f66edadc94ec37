"""A canvas with smooth lines and texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from spdbuild.wording.phrases import printable

INK, QUIET, GRID, PAPER = "#222222", "#666666", "#e4e4e4", "#ffffff"

Point = tuple[float, float]
#: Which point of a text is at the given place: left, middle or right; top or middle.
Anchor = Literal["lt", "lm", "mt", "mm", "rt", "rm"]
#: The lengths of a dash and of the gap after it, in units of the canvas.
Dashes = tuple[float, float]

#: Pixels per unit in the finished picture, and how many times finer it is drawn before that.
_DENSITY, _FINER = 2, 2


class Canvas:
    """A white picture whose unit is a pixel of a standard screen; it is drawn finer, which smooths its edges."""

    def __init__(self, width: float, height: float) -> None:
        self._scale = _DENSITY * _FINER
        size = (_FINER * round(_DENSITY * width), _FINER * round(_DENSITY * height))
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

    def rectangle(self, corner: Point, size: Point, fill: str | tuple[int, int, int]) -> None:
        left, top = self._at(corner)
        right, bottom = self._at((corner[0] + size[0], corner[1] + size[1]))
        self._draw.rectangle((round(left), round(top), round(right) - 1, round(bottom) - 1), fill=fill)

    def text(self, at: Point, text: str, size: float = 11, anchor: Anchor = "lt", colour: str = INK) -> None:
        """A text in one line; line breaks and other control characters are escaped."""
        text = printable(text)
        self._draw.text(self._at(at), text, fill=colour, font=_font(round(size * self._scale)), anchor=anchor)

    def upright(self, at: Point, text: str, size: float = 11, anchor: Anchor = "mm", colour: str = INK) -> None:
        """A text that reads from bottom to top; `anchor` is that of the text before it is rotated."""
        text, font = printable(text), _font(round(size * self._scale))
        left, top, right, bottom = font.getbbox(text, anchor=anchor)
        mask = Image.new("L", (round(right - left), round(bottom - top)))
        ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, anchor=anchor)
        x, y = self._at(at)
        self._image.paste(colour, (round(x + top), round(y - right)), mask.transpose(Image.Transpose.ROTATE_90))

    def finished(self) -> Image.Image:
        """The picture, twice as wide and as high in pixels as in units."""
        return self._image.reduce(_FINER)

    def _at(self, point: Point) -> Point:
        return point[0] * self._scale, point[1] * self._scale


def text_width(text: str, size: float = 11) -> float:
    """The width of a text on a canvas, in its units."""
    scale = _DENSITY * _FINER
    return float(_font(round(size * scale)).getlength(printable(text))) / scale


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _dashed(points: Sequence[Point], dashes: Dashes) -> list[list[Point]]:
    """The drawn parts of a dashed stroke."""
    parts, part, drawn, left = [], [points[0]], True, dashes[0]
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
            part, left = [turn], dashes[0] if drawn else dashes[1]
        left -= length - gone
        part.append(end)
    return [*parts, part] if drawn and len(part) > 1 else parts

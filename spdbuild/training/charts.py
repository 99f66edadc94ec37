"""Pictures of numbers, drawn with Pillow alone: curves over epochs, and matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

_COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")
_INK, _GRID, _PAPER = "#222222", "#dddddd", "#ffffff"
#: Numbers below have too few digits to be divided further.
_TINY = 1e-300
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 34, 40


def draw_curves(
    title: str, x: Sequence[float], curves: Mapping[str, Sequence[float | None]], size: tuple[int, int] = (640, 400)
) -> Image.Image:
    """One line a curve over `x`; what is None or not finite is left out."""
    image = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(image)
    values = [v for curve in curves.values() for v in curve if v is not None and math.isfinite(v)]
    y_ticks = ticks(min(values, default=0.0), max(values, default=1.0))
    x_ticks = ticks(min(x, default=0.0), max(x, default=1.0))
    frame = _Frame(size, (x_ticks[0], x_ticks[-1]), (y_ticks[0], y_ticks[-1]))
    _draw_axes(draw, frame, title, x_ticks, y_ticks)
    for index, (name, curve) in enumerate(curves.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        points = [frame.at(a, b) for a, b in zip(x, curve, strict=True) if b is not None and math.isfinite(b)]
        if len(points) > 1:
            draw.line(points, fill=colour, width=2)
        for column, row in points[:1] if len(points) == 1 else []:
            draw.ellipse((column - 3, row - 3, column + 3, row + 3), fill=colour)
        draw.text((size[0] - 130 * (len(curves) - index), 10), name, fill=colour, font=_font())
    return image


def draw_matrix(title: str, matrix: Sequence[Sequence[float]], names: Sequence[str]) -> Image.Image:
    """Rows of counts as a square of shades, each row by its own sum; numbers are written where they fit."""
    rows, columns = len(matrix), len(matrix[0])
    cell = max(4, min(48, 960 // max(rows, columns)))
    left = _LEFT + max((len(name) for name in names), default=0) * 6
    image = Image.new("RGB", (left + cell * columns + _RIGHT, _TOP + cell * rows + _BOTTOM), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((10, 10), title, fill=_INK, font=_font())
    for i, row in enumerate(matrix):
        total = sum(row) or 1
        for j, count in enumerate(row):
            share = count / total
            box = (left + j * cell, _TOP + i * cell, left + (j + 1) * cell - 1, _TOP + (i + 1) * cell - 1)
            draw.rectangle(box, fill=_shade(share))
            if cell >= 28 and count:
                colour = _PAPER if share > 0.5 else _INK
                draw.text((box[0] + 4, box[1] + cell // 2 - 6), f"{count:g}", fill=colour, font=_font())
    if cell >= 10:
        for i, name in enumerate(names):
            draw.text((10, _TOP + i * cell + cell // 2 - 6), name, fill=_INK, font=_font())
    draw.text((left, _TOP + cell * rows + 8), "rows: true class; columns: predicted class", fill=_INK, font=_font())
    return image


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `count` of them."""
    largest = max(abs(low), abs(high))
    if high - low <= max(1e-9 * largest, _TINY):
        margin = 0.5 * (largest if largest > _TINY else 1.0)
        low, high = low - margin, high + margin
    raw = (high - low) / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


class _Frame:
    """Where a point of the data is in the picture."""

    def __init__(self, size: tuple[int, int], x: tuple[float, float], y: tuple[float, float]) -> None:
        self.right, self.bottom = size[0] - _RIGHT, size[1] - _BOTTOM
        self._x, self._y = x, y

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self._x[0]) / (self._x[1] - self._x[0])
        up = (y - self._y[0]) / (self._y[1] - self._y[0])
        return _LEFT + across * (self.right - _LEFT), self.bottom - up * (self.bottom - _TOP)


def _draw_axes(
    draw: ImageDraw.ImageDraw, frame: _Frame, title: str, x_ticks: Sequence[float], y_ticks: Sequence[float]
) -> None:
    draw.text((10, 10), title, fill=_INK, font=_font())
    for value in y_ticks:
        _, row = frame.at(x_ticks[0], value)
        draw.line((_LEFT, row, frame.right, row), fill=_GRID)
        draw.text((10, row - 6), f"{value:g}", fill=_INK, font=_font())
    for value in x_ticks:
        column, _ = frame.at(value, y_ticks[0])
        draw.line((column, _TOP, column, frame.bottom), fill=_GRID)
        draw.text((column - 6, frame.bottom + 8), f"{value:g}", fill=_INK, font=_font())


def _shade(share: float) -> tuple[int, int, int]:
    """White for 0, dark blue for 1."""
    return tuple(round(255 + (end - 255) * share) for end in (8, 48, 107))  # type: ignore[return-value]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(11)

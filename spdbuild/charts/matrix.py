"""A matrix of counts, with the names of its rows and columns and a key to its shades."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spdbuild.charts.canvas import GRID, INK, PAPER, QUIET, Canvas, text_width
from spdbuild.charts.fonts import shortened

#: Maximum width of a name, in units; longer names are cut in the middle.
_LONGEST = 150
_MARGIN, _TITLE, _KEY = 16, 62, 12
#: Cells at least this wide have numbers.
_NUMBERED = 16


def draw_matrix(
    title: str, matrix: Sequence[Sequence[float]], rows: Sequence[str], columns: Sequence[str], note: str = ""
) -> Image.Image:
    """A picture of the counts, shaded by their share of the row; a count is written if it fits into its cell.

    rows, columns: names of the true and of the predicted classes. note: which predictions count, below the title.
    """
    cell = _cell(max(len(rows), len(columns)))
    size = min(11.0, max(9.0, cell - 3))
    rows, columns = ([_cut(name, size) for name in names] for names in (rows, columns))
    left = _MARGIN + 20 + max(text_width(name, size) for name in rows) + 6
    widths = [text_width(name, size) for name in columns]
    level = max(widths) <= cell - 4
    foot = (size if level else max(widths)) + 6
    width, height = cell * len(columns), cell * len(rows)
    # All of its edges are level or upright: drawn finer, a thousand classes would need a gigabyte.
    canvas = Canvas(max(left + width + 84, 460), _TITLE + height + foot + 34, finer=1)
    canvas.text((_MARGIN, 12), title, size=14)
    canvas.text((_MARGIN, 34), "; ".join(filter(None, (_shown(cell), note))), colour=QUIET)
    _draw_cells(canvas, np.asarray(matrix, dtype=float), (left, _TITLE), cell)
    _draw_grid(canvas, (left, _TITLE), cell, len(rows), len(columns))
    every = math.ceil((size + 1) / cell)
    for number, name in list(enumerate(rows))[::every]:
        canvas.text((left - 6, _TITLE + (number + 0.5) * cell), name, size, "rm")
    for number, name in list(enumerate(columns))[::every]:
        below = (left + (number + 0.5) * cell, _TITLE + height + 6)
        if level:
            canvas.text(below, name, size, "mt")
        else:
            canvas.upright(below, name, size, "rm")
    canvas.upright((_MARGIN, _TITLE + height / 2), "true class")
    canvas.text((left + width / 2, _TITLE + height + foot + 10), "predicted class", anchor="mt")
    _draw_key(canvas, (left + width + 24, _TITLE), min(height, 200))
    return canvas.finished()


def _cell(classes: int) -> float:
    """The width and height of a cell, in units: with few classes there is room for numbers."""
    return 64 if classes <= 5 else 44 if classes <= 12 else 30 if classes <= 25 else max(2, min(20, 1100 / classes))


def _shown(cell: float) -> str:
    return "shade: share of the row" + ("; number: count" if cell >= _NUMBERED else "")


def _draw_cells(canvas: Canvas, matrix: NDArray[np.float64], corner: tuple[float, float], cell: float) -> None:
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.where(totals == 0, 1, totals)
    canvas.mosaic(corner, _shades(shares), (cell, cell))
    for i, j in np.argwhere(matrix).tolist() if cell >= _NUMBERED else ():
        text, middle = f"{matrix[i, j]:.0f}", (corner[0] + (j + 0.5) * cell, corner[1] + (i + 0.5) * cell)
        if text_width(text, 10) <= cell - 3:
            canvas.text(middle, text, 10, "mm", PAPER if shares[i, j] > 0.35 else INK)


def _draw_grid(canvas: Canvas, corner: tuple[float, float], cell: float, rows: int, columns: int) -> None:
    """Lines between the cells, every tenth darker where there are many to count."""
    left, top = corner
    right, bottom = left + cell * columns, top + cell * rows
    every = 1 if cell >= 8 else 10
    for count, along in ((rows, False), (columns, True)):
        for number in range(0, count + 1, every):
            at = number * cell
            colour = "#b0b0b0" if number in (0, count) or (count > 25 and number % 10 == 0) else GRID
            start, end = ((left + at, top), (left + at, bottom)) if along else ((left, top + at), (right, top + at))
            canvas.line([start, end], colour, 0.75)
    canvas.line([(right, top), (right, bottom), (left, bottom)], "#b0b0b0", 0.75)


def _draw_key(canvas: Canvas, corner: tuple[float, float], height: float) -> None:
    """The shades from 1 at the top to 0, with numbers."""
    left, top = corner
    steps = 100
    canvas.mosaic(corner, _shades(np.linspace(1, 0, steps)[:, None]), (_KEY, height / steps))
    for share in (0, 0.25, 0.5, 0.75, 1):
        canvas.text((left + _KEY + 6, top + (1 - share) * height), f"{share:g}", 10, "lm", QUIET)


def _cut(name: str, size: float) -> str:
    return shortened(name, _LONGEST, lambda text: text_width(text, size))


def _shades(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours [..., 3]: white for 0, dark blue for 1; small shares are darker than in proportion, so as to be seen."""
    end = np.array((8, 48, 107))
    shades: NDArray[np.uint8] = np.round(255 + (end - 255) * shares[..., None] ** 0.6).astype(np.uint8)
    return shades

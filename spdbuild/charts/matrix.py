"""A matrix of counts, with the names of its rows and columns and a key to its shades."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image

from spdbuild.charts.canvas import GRID, INK, PAPER, QUIET, Canvas, text_width

#: Maximum width of a name, in units; longer names are cut.
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
    left = _MARGIN + 20 + max(text_width(_cut(name, size), size) for name in rows) + 6
    widths = [text_width(_cut(name, size), size) for name in columns]
    level = max(widths) <= cell - 4
    foot = (size if level else max(widths)) + 6
    width, height = cell * len(columns), cell * len(rows)
    canvas = Canvas(max(left + width + 84, 460), _TITLE + height + foot + 34)
    canvas.text((_MARGIN, 12), title, size=14)
    canvas.text((_MARGIN, 34), "; ".join(filter(None, (_shown(cell), note))), colour=QUIET)
    _draw_cells(canvas, matrix, (left, _TITLE), cell)
    _draw_grid(canvas, (left, _TITLE), cell, len(rows), len(columns))
    every = math.ceil((size + 1) / cell)
    for number, name in list(enumerate(rows))[::every]:
        canvas.text((left - 6, _TITLE + (number + 0.5) * cell), _cut(name, size), size, "rm")
    for number, name in list(enumerate(columns))[::every]:
        below = (left + (number + 0.5) * cell, _TITLE + height + 6)
        if level:
            canvas.text(below, name, size, "mt")
        else:
            canvas.upright(below, _cut(name, size), size, "rm")
    canvas.upright((_MARGIN, _TITLE + height / 2), "true class")
    canvas.text((left + width / 2, _TITLE + height + foot + 10), "predicted class", anchor="mt")
    _draw_key(canvas, (left + width + 24, _TITLE), min(height, 200))
    return canvas.finished()


def _cell(classes: int) -> float:
    """The width and height of a cell, in units: with few classes there is room for numbers."""
    return 64 if classes <= 5 else 44 if classes <= 12 else 30 if classes <= 25 else max(3, min(20, 1100 / classes))


def _shown(cell: float) -> str:
    return "shade: share of the row" + ("; number: count" if cell >= _NUMBERED else "")


def _draw_cells(canvas: Canvas, matrix: Sequence[Sequence[float]], corner: tuple[float, float], cell: float) -> None:
    for i, row in enumerate(matrix):
        total = sum(row) or 1
        for j, count in enumerate(row):
            if not count:
                continue
            x, y, share, text = corner[0] + j * cell, corner[1] + i * cell, count / total, f"{count:.0f}"
            canvas.rectangle((x, y), (cell, cell), _shade(share))
            if cell >= _NUMBERED and text_width(text, 10) <= cell - 3:
                canvas.text((x + cell / 2, y + cell / 2), text, 10, "mm", PAPER if share > 0.35 else INK)


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
    for step in range(steps):
        canvas.rectangle((left, top + step * height / steps), (_KEY, height / steps + 0.5), _shade(1 - step / steps))
    for share in (0, 0.25, 0.5, 0.75, 1):
        canvas.text((left + _KEY + 6, top + (1 - share) * height), f"{share:g}", 10, "lm", QUIET)


def _cut(name: str, size: float) -> str:
    if text_width(name, size) <= _LONGEST:
        return name
    kept = next(n for n in range(len(name), 0, -1) if text_width(name[:n] + "…", size) <= _LONGEST)
    return name[:kept] + "…"


def _shade(share: float) -> tuple[int, int, int]:
    """White for 0, dark blue for 1; small shares are darker than in proportion, so that they can be seen."""
    return tuple(round(255 + (end - 255) * share**0.6) for end in (8, 48, 107))  # type: ignore[return-value]

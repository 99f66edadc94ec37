"""Lines on a pair of axes, with a legend."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from PIL import Image

from spdbuild.charts.axes import Axis, axis_for
from spdbuild.charts.canvas import GRID, INK, QUIET, Canvas, Dashes, Point, text_width
from spdbuild.charts.chart import Chart, Line

_STRONG = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
_LIGHT = ("#7fb2db", "#f08a8a", "#8fd08f", "#ffbf80", "#c5b0d5", "#c49c94", "#f7b6d2", "#b5b5b5", "#dbdb6d", "#8fdbe6")
_COLOURS = _STRONG + _LIGHT
#: Dashes of a run itself, which has none, and of the runs that it is compared with.
_DASHES: tuple[Dashes | None, ...] = (None, (6, 4), (2, 3), (10, 3))

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 22, 40, 52
#: Up to this many lines are named in a row above, more in a column beside; row, stroke and gap of the legend.
_IN_A_ROW, _ROW, _STROKE, _GAP = 4, 17, 22, 24


@dataclass(frozen=True)
class _Style:
    colour: str
    width: float
    dashes: Dashes | None


def draw_chart(chart: Chart) -> Image.Image:
    """A picture of 1280 by 800 pixels, larger if it has a column of names; non-finite values are left out."""
    lines = {name: points for name, line in chart.lines.items() if (points := _points(line))}
    styles = _styles({name: chart.lines[name] for name in lines})
    beside = _beside(lines)
    column = max((text_width(name) for name in lines), default=0) + _STROKE + 28 if beside else 0
    canvas = Canvas(_WIDTH + column, max(_HEIGHT, _TOP + _BOTTOM + _ROW * len(lines) if beside else 0))
    canvas.text((_LEFT, 10), chart.title, size=14)
    if len(lines) > 1:
        _legend(canvas, styles, beside)
    plot = _Plot(
        axis_for([x for line in chart.lines.values() for x in line.x], chart.x_scale),
        axis_for([y for points in lines.values() for _, y in points], chart.y_scale),
        _TOP + (_ROW + 3 if len(lines) > 1 and not beside else 0),
    )
    _draw_axes(canvas, plot, chart)
    # Thick lines come last and so lie above the others.
    for name in sorted(lines, key=lambda name: chart.lines[name].thick):
        _draw_line(canvas, [plot.at(point) for point in lines[name]], styles[name])
    return canvas.finished()


@dataclass(frozen=True)
class _Plot:
    """The position of a data point on the canvas."""

    x: Axis
    y: Axis
    top: float
    left: float = _LEFT
    right: float = _WIDTH - _RIGHT
    bottom: float = _HEIGHT - _BOTTOM

    def at(self, point: Point) -> Point:
        across, up = self.x.share(point[0]), self.y.share(point[1])
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)


def _points(line: Line) -> list[Point]:
    return [(x, y) for x, y in zip(line.x, line.y, strict=True) if y is not None and math.isfinite(y)]


def _styles(lines: dict[str, Line]) -> dict[str, _Style]:
    kinds = list(dict.fromkeys(line.kind or name for name, line in lines.items() if not line.thick))
    styles = {}
    for name, line in lines.items():
        colour = INK if line.thick else _COLOURS[kinds.index(line.kind or name) % len(_COLOURS)]
        width = 2.8 if line.thick else 1.4 if len(lines) > _IN_A_ROW and not line.kind else 2
        styles[name] = _Style(colour, width, _DASHES[line.run % len(_DASHES)])
    return styles


def _beside(names: Collection[str]) -> bool:
    """Whether the names of lines stand beside them, because they are too many or too long for a row above."""
    row = sum(_STROKE + text_width(name) + _GAP for name in names)
    return len(names) > _IN_A_ROW or row > _WIDTH - _LEFT


def _legend(canvas: Canvas, styles: dict[str, _Style], beside: bool) -> None:
    x, y = (float(_WIDTH), _TOP + 8.0) if beside else (float(_LEFT), _TOP + 2.0)
    for name, style in styles.items():
        canvas.line([(x, y), (x + _STROKE, y)], style.colour, style.width, style.dashes)
        canvas.text((x + _STROKE + 6, y), name, anchor="lm")
        if beside:
            y += _ROW
        else:
            x += _STROKE + text_width(name) + _GAP


def _draw_axes(canvas: Canvas, plot: _Plot, chart: Chart) -> None:
    for value, text in zip(plot.y.marks, _texts(plot.y.marks), strict=True):
        _, y = plot.at((plot.x.low, value))
        canvas.line([(plot.left, y), (plot.right, y)], GRID)
        canvas.text((plot.left - 8, y), text, anchor="rm", colour=QUIET)
    for value, text in zip(plot.x.marks, _texts(plot.x.marks), strict=True):
        x, _ = plot.at((value, plot.y.low))
        canvas.line([(x, plot.top), (x, plot.bottom)], GRID)
        canvas.text((x, plot.bottom + 8), text, anchor="mt", colour=QUIET)
    canvas.line([(plot.left, plot.top), (plot.left, plot.bottom), (plot.right, plot.bottom)], QUIET)
    canvas.text(((plot.left + plot.right) / 2, plot.bottom + 28), chart.x_name, anchor="mt")
    scale = " (logarithmic)" if plot.y.logarithmic else ""
    canvas.upright((14, (plot.top + plot.bottom) / 2), chart.y_name + scale)
    if chart.note:
        canvas.text((plot.right, 12), chart.note, anchor="rt", colour=QUIET)


def _texts(marks: Sequence[float]) -> list[str]:
    """Integers with commas; other and very large numbers with up to six digits."""
    if all(float(mark).is_integer() for mark in marks) and max(map(abs, marks)) < 1e7:
        return [f"{mark:,.0f}" for mark in marks]
    return [f"{mark:g}" for mark in marks]


def _draw_line(canvas: Canvas, points: list[Point], style: _Style) -> None:
    if len(points) > 1:
        canvas.line(points, style.colour, style.width, style.dashes)
    else:
        canvas.dot(points[0], style.colour, 4)

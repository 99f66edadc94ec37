"""Lines on a pair of axes, with a legend."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from spdbuild.charts.axes import Axis, axis_for
from spdbuild.charts.canvas import GRID, INK, QUIET, Canvas, Dashes, Point, text_width
from spdbuild.charts.chart import Chart, Line

#: The first four differ for those who do not tell red from green, too.
_STRONG = ("#1f77b4", "#d62728", "#17becf", "#ff7f0e", "#9467bd", "#2ca02c", "#8c564b", "#e377c2", "#7f7f7f", "#a8a91c")
_DARK = ("#0b3c5d", "#7a1416", "#0b6b75", "#9c4a00", "#4b2e73", "#155915", "#4a2c25", "#9a2f7d", "#3f3f3f", "#63640c")
_COLOURS = _STRONG + _DARK
#: Dashes of the first runs that a run is compared with; those of further ones have a dot more each.
_DASHES: tuple[Dashes, ...] = ((6, 4), (2, 3), (10, 3))
_DOT: Dashes = (2, 3)

_WIDTH, _HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 22, 40, 52
#: Up to this many lines are named in a row above, more in a column beside; row, least stroke and gap of the legend.
_IN_A_ROW, _ROW, _STROKE, _GAP = 4, 17, 22, 24
#: Lines over more epochs than this would be bands in which a dashed one looks like any other: they show means.
_MOST_EPOCHS = 300


@dataclass(frozen=True)
class _Style:
    colour: str
    width: float
    dashes: Dashes | None


def draw_chart(chart: Chart) -> Image.Image:
    """A picture of 1280 by 800 pixels, larger if it has a column of names.

    A line goes on over values that are None, and is interrupted by those that are not finite.
    """
    x_axis = axis_for([x for line in chart.lines.values() for x in line.x], chart.x_scale)
    chart = _thinned(chart) if chart.x_scale == "epochs" else chart
    lines = {name: parts for name, line in chart.lines.items() if (parts := _parts(line))}
    styles = _styles({name: chart.lines[name] for name in lines})
    stroke = max([_STROKE, *(sum(style.dashes) for style in styles.values() if style.dashes)])
    # Of several lines, the only one that has values has its name all the same.
    named = len(chart.lines) > 1
    beside = _beside(lines, stroke)
    column = max((text_width(name) for name in lines), default=0) + stroke + 28 if beside else 0
    canvas = Canvas(_WIDTH + column, max(_HEIGHT, _TOP + _BOTTOM + _ROW * len(lines) if beside else 0))
    canvas.text((_LEFT, 10), chart.title, size=14)
    if named:
        _legend(canvas, styles, stroke, beside)
    plot = _Plot(
        x_axis,
        axis_for([y for parts in lines.values() for part in parts for _, y in part], chart.y_scale),
        _TOP + (_ROW + 3 if named and not beside else 0),
    )
    _draw_axes(canvas, plot, chart)
    # Thick lines come last and so lie above the others.
    for name in sorted(lines, key=lambda name: chart.lines[name].thick):
        for part in lines[name]:
            _draw_line(canvas, [plot.at(point) for point in part], styles[name])
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


def _parts(line: Line) -> list[list[Point]]:
    """The points that are connected with each other."""
    parts: list[list[Point]] = [[]]
    for x, y in _measured(line):
        if math.isfinite(y):
            parts[-1].append((x, y))
        else:
            parts.append([])
    return [part for part in parts if part]


def _measured(line: Line) -> list[Point]:
    return [(x, y) for x, y in zip(line.x, line.y, strict=True) if y is not None]


def _thinned(chart: Chart) -> Chart:
    """The chart with means of several epochs where a line has many, which the x axis says."""
    sizes = {name: math.ceil(len(_measured(line)) / _MOST_EPOCHS) for name, line in chart.lines.items()}
    most = max(sizes.values(), default=1)
    if most <= 1:
        return chart
    lines = {name: _means(line, sizes[name]) if sizes[name] > 1 else line for name, line in chart.lines.items()}
    return replace(chart, x_name=f"{chart.x_name} (each point the mean of up to {most})", lines=lines)


def _means(line: Line, size: int) -> Line:
    points = _measured(line)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    x, y = ([sum(point[axis] for point in group) / len(group) for group in groups] for axis in (0, 1))
    return replace(line, x=x, y=y)


def _styles(lines: dict[str, Line]) -> dict[str, _Style]:
    kinds = list(dict.fromkeys(line.kind or name for name, line in lines.items() if not line.thick))
    styles = {}
    for name, line in lines.items():
        colour = INK if line.thick else _COLOURS[kinds.index(line.kind or name) % len(_COLOURS)]
        width = 2.8 if line.thick else 1.4 if len(lines) > _IN_A_ROW and not line.kind else 2
        styles[name] = _Style(colour, width, _dashes(line.run))
    return styles


def _dashes(run: int) -> Dashes | None:
    """None for the run itself; no two runs have the same."""
    if run == 0:
        return None
    return _DASHES[run - 1] if run <= len(_DASHES) else _DASHES[-1] + _DOT * (run - len(_DASHES))


def _beside(names: Collection[str], stroke: float) -> bool:
    """Whether the names of lines stand beside them, because they are too many or too long for a row above."""
    row = sum(stroke + text_width(name) + _GAP for name in names)
    return len(names) > _IN_A_ROW or row > _WIDTH - _LEFT


def _legend(canvas: Canvas, styles: dict[str, _Style], stroke: float, beside: bool) -> None:
    x, y = (float(_WIDTH), _TOP + 8.0) if beside else (float(_LEFT), _TOP + 2.0)
    for name, style in styles.items():
        canvas.line([(x, y), (x + stroke, y)], style.colour, style.width, style.dashes)
        canvas.text((x + stroke + 6, y), name, anchor="lm")
        if beside:
            y += _ROW
        else:
            x += stroke + text_width(name) + _GAP


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

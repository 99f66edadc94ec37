"""Blocks and lines as the text of an SVG file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise
from typing import Literal

from spdbuild.diagram.layout import BOX_HEIGHT, BOX_WIDTH, Layout, Point, lay_out
from spdbuild.graph import Graph, Node
from spdbuild.graph.names import block_name
from spdbuild.shape import pair

#: How a layer differs from its counterpart in another network.
Mark = Literal["new", "changed"]

MARGIN, HEADING, NOTE = 24, 44, 18
#: Width of the heading's lines in pixels, and characters that a line of a box holds.
HEADING_WIDTH, LINE = 440, 40
#: Fill of a box: with space-to-depth, with a stride, with other layers, and of an input.
SPD, STRIDED, PLAIN, OUTER = "#d7f0dd", "#fbdcd3", "#eef2f7", "#ffffff"
#: Frame of a box that differs from the other network's.
NEW, CHANGED = "#1f6fd6", "#e08a00"
_STYLE = (
    "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1d2733}.name{font-weight:bold}"
    ".more{fill:#52606d;font-size:11px}rect{stroke:#9aa5b1}path{fill:none;stroke:#7b8794;stroke-width:1.4}"
)


class Svg(str):
    """The text of an SVG file, which a notebook shows as the picture."""

    def _repr_svg_(self) -> str:
        return str(self)


def diagram_svg(graph: Graph, depth: int = 2, marks: Mapping[str, Mark] | None = None, note: str = "") -> Svg:
    """An SVG of the blocks of `graph` down to `depth` levels; a layer that is not deeper is a box of its own.

    Boxes with strided layers are red, boxes with space-to-depth green.

    marks: layers that differ from those of another network; their boxes get a frame, orange where a layer is changed
        and blue where all are new.
    note: a last line of the heading, for example on what is not in the picture.
    """
    boxes: dict[str, list[Node]] = {}
    for node in graph:
        boxes.setdefault(block_name(node.name, depth), []).append(node)
    layout = lay_out(boxes, _edges(graph, depth))
    inner = max(layout.width, HEADING_WIDTH)
    heading = HEADING + (NOTE if note else 0)
    width, height = inner + 2 * MARGIN, layout.height + 2 * MARGIN + heading
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">',
        f"<style>{_STYLE}</style>",
        '<rect width="100%" height="100%" fill="#ffffff" stroke="none"/>',
        _text(MARGIN, MARGIN + 4, "name", f"{graph.name}: {graph.parameters:,} parameters, {graph.macs:,} MACs"),
        _text(MARGIN, MARGIN + 22, "more", "red: skips pixels; green: space-to-depth in place of a stride"),
        *([_text(MARGIN, MARGIN + 22 + NOTE, "more", note)] if note else []),
        f'<g transform="translate({MARGIN + (inner - layout.width) / 2:g},{MARGIN + heading})">',
        *_paths(layout),
        *(
            part
            for name, nodes in boxes.items()
            for part in _box(name, nodes, layout.centres[name], _frame(nodes, marks or {}))
        ),
        "</g>",
        "</svg>",
    ]
    return Svg("\n".join(lines) + "\n")


def _edges(graph: Graph, depth: int) -> Iterator[tuple[str, str]]:
    for node in graph:
        target = block_name(node.name, depth)
        for output in node.inputs:
            source = block_name(output.node, depth)
            if source != target:
                yield source, target


def _paths(layout: Layout) -> Iterator[str]:
    for points in layout.lines.values():
        yield f'<path d="{_curve(points)}"/>'


def _curve(points: list[Point]) -> str:
    """A line from the bottom of a box to the top of another, straight down where it begins, ends and passes a row."""
    half = BOX_HEIGHT / 2
    parts = [f"M{points[0].x:g} {points[0].y + half:g}"]
    for start, end in pairwise(points):
        top, bottom = start.y + half, end.y - half
        middle = (top + bottom) / 2
        parts.append(f"C{start.x:g} {middle:g} {end.x:g} {middle:g} {end.x:g} {bottom:g}")
        if end is not points[-1]:
            parts.append(f"V{end.y + half:g}")
    return "".join(parts)


def _box(name: str, nodes: list[Node], centre: Point, frame: str) -> Iterator[str]:
    left, top = centre.x - BOX_WIDTH / 2, centre.y - BOX_HEIGHT / 2
    last = nodes[-1]
    alone = len(nodes) == 1 and last.name == name
    params, macs = sum(node.parameters for node in nodes), sum(node.macs for node in nodes)
    yield "<g>"
    yield f"<title>{escape(', '.join(f'{node.name}: {node.op}' for node in nodes))}</title>"
    size = f'x="{left:g}" y="{top:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}"'
    yield f'<rect {size} rx="6" fill="{_fill(nodes)}"{frame}/>'
    yield _text(left + 10, top + 18, "name", _short(name))
    yield _text(left + 10, top + 34, "more", _short(str(last.op) if alone and last.inputs else _count(nodes)))
    costs = f"  {params:,} params  {macs / 1e6:,.0f} MMACs" if params else ""
    yield _text(left + 10, top + 50, "more", _short(f"{', '.join(map(str, last.shapes))}{costs}"))
    yield "</g>"


def _count(nodes: list[Node]) -> str:
    return f"{len(nodes)} layers" if len(nodes) > 1 else nodes[0].op.name


def _fill(nodes: list[Node]) -> str:
    if any(node.op.name.startswith("spd_") or node.op.name == "space_to_depth" for node in nodes):
        return SPD
    if any(max(pair(getattr(node.op, "stride", 1))) > 1 for node in nodes):
        return STRIDED
    return PLAIN if nodes[0].inputs else OUTER


def _frame(nodes: list[Node], marks: Mapping[str, Mark]) -> str:
    """The attribute for the frame of a box with these layers."""
    found = {marks.get(node.name) for node in nodes}
    if found == {None}:
        return ""
    return f' style="stroke:{NEW if found == {"new"} else CHANGED};stroke-width:3"'


def _short(text: str) -> str:
    return text if len(text) <= LINE else f"{text[: LINE - 3]}..."


def _text(x: float, y: float, kind: str, text: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(text)}</text>'

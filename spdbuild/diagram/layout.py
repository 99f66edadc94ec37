"""The layout of boxes and lines: rows by the longest path from the inputs, ordered for few crossings.

After Sugiyama, Tagawa and Toda 1981, "Methods for Visual Understanding of Hierarchical System Structures": a line that
passes rows has a waypoint in each, and every row is ordered by the mean place of the neighbours above or below.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BOX_WIDTH, BOX_HEIGHT = 310, 58
WAYPOINT_WIDTH = 20
GAP, ROW_GAP = 24, 34
#: Passes over the rows that order them, downwards and upwards in turn; more change nothing in networks of this kind.
SWEEPS = 4


@dataclass(frozen=True)
class Point:
    """A place in pixels, from the left and from the top."""

    x: float
    y: float


@dataclass(frozen=True)
class Layout:
    """Centres of the boxes by name, the points of each line from box to box, and the size of the whole."""

    centres: Mapping[str, Point]
    lines: Mapping[tuple[str, str], list[Point]]
    width: float
    height: float


#: A box, identified by its name, or a waypoint, identified by its line and its row.
Item = str | tuple[str, str, int]


def lay_out(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> Layout:
    """The layout of boxes `names`, each of which is read only by later ones."""
    edges = list(dict.fromkeys(edges))
    rows = _rows_of(list(names), edges)
    ways = {edge: _way(edge, rows) for edge in edges}
    table = _ordered(_table(rows, ways), ways)
    width = max((_width(row) for row in table), default=0)
    places = {item: point for number, row in enumerate(table) for item, point in _place(row, number, width)}
    lines = {edge: [places[item] for item in way] for edge, way in ways.items()}
    centres = {name: places[name] for name in rows}
    return Layout(centres, lines, width, len(table) * (BOX_HEIGHT + ROW_GAP) - ROW_GAP)


def _rows_of(names: list[str], edges: list[tuple[str, str]]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for name in names:
        rows[name] = max((rows[source] + 1 for source, target in edges if target == name), default=0)
    return rows


def _way(edge: tuple[str, str], rows: Mapping[str, int]) -> list[Item]:
    source, target = edge
    return [source, *((source, target, row) for row in range(rows[source] + 1, rows[target])), target]


def _table(rows: Mapping[str, int], ways: Mapping[tuple[str, str], list[Item]]) -> list[list[Item]]:
    table: list[list[Item]] = [[] for _ in range(max(rows.values(), default=-1) + 1)]
    for name, row in rows.items():
        table[row].append(name)
    for way in ways.values():
        for waypoint in way[1:-1]:
            table[int(waypoint[2])].append(waypoint)
    return table


def _ordered(table: list[list[Item]], ways: Mapping[tuple[str, str], list[Item]]) -> list[list[Item]]:
    """Every row sorted by the mean place of the neighbours in the row before, downwards and upwards in turn."""
    steps = [step for way in ways.values() for step in zip(way, way[1:], strict=False)]
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        neighbours: dict[Item, list[Item]] = {}
        for above, below in steps:
            item, neighbour = (below, above) if down else (above, below)
            neighbours.setdefault(item, []).append(neighbour)
        order = range(1, len(table)) if down else range(len(table) - 2, -1, -1)
        for number in order:
            before = {item: place for place, item in enumerate(table[number - 1 if down else number + 1])}
            table[number].sort(key=lambda item: _mean([before[n] for n in neighbours.get(item, []) if n in before]))
    return table


def _mean(places: list[int]) -> float:
    return sum(places) / len(places) if places else 0.0


def _width_of(item: Item) -> int:
    return BOX_WIDTH if isinstance(item, str) else WAYPOINT_WIDTH


def _width(row: list[Item]) -> int:
    return sum(map(_width_of, row)) + GAP * (len(row) - 1)


def _place(row: list[Item], number: int, width: float) -> Iterable[tuple[Item, Point]]:
    """The items of a row side by side, centred in the picture."""
    left = (width - _width(row)) / 2
    for item in row:
        yield item, Point(left + _width_of(item) / 2, number * (BOX_HEIGHT + ROW_GAP) + BOX_HEIGHT / 2)
        left += _width_of(item) + GAP

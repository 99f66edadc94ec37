"""The outlines of all objects of a data set, in three arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
Positions = NDArray[np.int64]


class Outlines:
    """For each object its polygons, float64 [points, 2] each; none if it has no outline.

    A large data set has a million polygons. As separate arrays they would need more memory than their points do, and
    each worker process would get a copy of all of them, because reference counts are written beside each array.

    points: float64 [P, 2], of all polygons, one after another.
    polygons: int64 [Q + 1], where each polygon starts in `points`.
    rows: int64 [B + 1], where each object starts in `polygons`.
    """

    def __init__(self, points: NDArray[np.float64], polygons: Positions, rows: Positions) -> None:
        self._points, self._polygons, self._rows = points, polygons, rows

    @classmethod
    def pack(cls, outlines: Iterable[Sequence[Polygon]]) -> Outlines:
        """The same polygons, copied."""
        given = [tuple(polygons) for polygons in outlines]
        flat = list(chain.from_iterable(given))
        points = np.concatenate([np.zeros((0, 2)), *flat])
        return cls(points, _starts([len(polygon) for polygon in flat]), _starts([len(own) for own in given]))

    def __len__(self) -> int:
        return len(self._rows) - 1

    def __getitem__(self, row: int) -> tuple[Polygon, ...]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"there are {len(self)} outlines and none at {row}")
        first, last = self._rows[row % len(self)], self._rows[row % len(self) + 1]
        starts = self._polygons[first : last + 1].tolist()
        return tuple(self._points[start:stop] for start, stop in zip(starts, starts[1:], strict=False))

    def present(self, rows: Positions) -> NDArray[np.bool_]:
        """Whether each of the given objects has a polygon."""
        return self._rows[rows + 1] > self._rows[rows]

    def take(self, rows: Positions | slice) -> Outlines:
        """The outlines of the given rows, in that order; a contiguous slice copies nothing."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                return Outlines(self._points, self._polygons, self._rows[start : max(start, stop) + 1])
            rows = np.arange(start, stop, step)
        polygons = _members(self._rows, rows)
        points = _members(self._polygons, polygons)
        return Outlines(self._points[points], _starts(self._lengths(polygons)), _starts(np.diff(self._rows)[rows]))

    def _lengths(self, polygons: Positions) -> Positions:
        return self._polygons[polygons + 1] - self._polygons[polygons]


def signed_area(polygon: Polygon) -> float:
    """Square pixels within a polygon, by the shoelace formula; negative if its points run the other way round."""
    x, y = (polygon - polygon[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def joined(polygons: Sequence[Polygon]) -> Polygon:
    """Several polygons as one: each is joined to those before it by the shortest connection, which is traced twice.

    All have the same orientation, so that its area is the sum of theirs.
    """
    ring = polygons[0]
    for polygon in polygons[1:]:
        other = polygon if signed_area(polygon) * signed_area(polygons[0]) >= 0 else polygon[::-1]
        distances = ((ring[:, None] - other[None]) ** 2).sum(axis=2)
        here, there = divmod(int(distances.argmin()), len(other))
        detour = np.roll(other, -there, axis=0)
        ring = np.concatenate((ring[: here + 1], detour, detour[:1], ring[here:]))
    return ring


def _starts(lengths: Sequence[int] | Positions) -> Positions:
    """int64 [N + 1], where things of these lengths start when they are put end to end, and where the last ends."""
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)))


def _members(starts: Positions, chosen: Positions) -> Positions:
    """The positions from the start of each chosen thing to the start of the next."""
    first, lengths = starts[chosen], starts[chosen + 1] - starts[chosen]
    shift = first - _starts(lengths)[:-1]
    return np.asarray(np.arange(lengths.sum()) + np.repeat(shift, lengths))

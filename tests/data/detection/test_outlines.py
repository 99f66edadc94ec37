"""Outlines in one array are those that were given."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from spdbuild.data.detection.outlines import Outlines, joined, signed_area

#: By object: one polygon, none, and two.
GIVEN = [[4], [], [3, 5]]


@pytest.fixture
def polygons() -> list[list[NDArray[np.float64]]]:
    random = np.random.default_rng(0)
    return [[random.uniform(size=(points, 2)) for points in counts] for counts in GIVEN]


def assert_same(outlines: Outlines, polygons: list[list[NDArray[np.float64]]]) -> None:
    assert len(outlines) == len(polygons)
    for own, expected in zip(outlines, polygons, strict=True):
        assert len(own) == len(expected)
        for one, other in zip(own, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_they_are_given_back_as_they_were(polygons: list[list[NDArray[np.float64]]]) -> None:
    outlines = Outlines.pack(polygons)
    assert_same(outlines, polygons)
    assert [len(own) for own in outlines.take(slice(1, None))] == [0, 2]
    assert len(outlines[-1]) == 2
    with pytest.raises(IndexError, match="there are 3 outlines"):
        outlines[3]


@pytest.mark.parametrize("rows", [[2, 0], [1], [], [0, 2, 2, 1], [2, 1, 0]])
def test_rows_are_taken_in_any_order(polygons: list[list[NDArray[np.float64]]], rows: list[int]) -> None:
    taken = Outlines.pack(polygons).take(np.array(rows, np.int64))
    assert_same(taken, [polygons[row] for row in rows])


@pytest.mark.parametrize(
    "rows", [slice(0, 2), slice(1, 3), slice(2, 2), slice(2, 1), slice(None), slice(None, None, 2)]
)
def test_a_slice_of_rows_is_like_the_rows_and_can_be_taken_from(
    polygons: list[list[NDArray[np.float64]]], rows: slice
) -> None:
    taken = Outlines.pack(polygons).take(rows)
    assert_same(taken, polygons[rows])
    everything = np.arange(len(taken))
    assert_same(taken.take(everything), polygons[rows])
    assert taken.present(everything).tolist() == [bool(own) for own in polygons[rows]]


def test_what_has_a_polygon_is_told_without_looking_at_one(polygons: list[list[NDArray[np.float64]]]) -> None:
    assert Outlines.pack(polygons).present(np.array((1, 2, 0, 1))).tolist() == [False, True, True, False]


def test_none_are_none() -> None:
    assert list(Outlines.pack([])) == []
    assert list(Outlines.pack([[], []])) == [(), ()]


def test_a_polygon_is_a_view(polygons: list[list[NDArray[np.float64]]]) -> None:
    outlines = Outlines.pack(polygons)
    assert outlines[0][0].base is outlines[2][1].base is not None


def test_joined_polygons_cover_what_they_covered_apart() -> None:
    squares = [np.array(((0, 0), (10, 0), (10, 10), (0, 10)), float) + shift for shift in (0, 20, (0, 35))]
    ring = joined(squares)
    apart, together = (Image.new("1", (60, 60)) for _ in range(2))
    for square in squares:
        ImageDraw.Draw(apart).polygon([tuple(point) for point in square], fill=1)
    ImageDraw.Draw(together).polygon([tuple(point) for point in ring], fill=1)
    # Besides, only the lines from one to the next, which are a pixel wide.
    assert not (np.asarray(apart) & ~np.asarray(together)).any()
    assert (np.asarray(together) & ~np.asarray(apart)).sum() < 40
    assert signed_area(ring) == pytest.approx(300)
    assert (ring.min(axis=0).tolist(), ring.max(axis=0).tolist()) == ([0, 0], [30, 45])
    # Three times around a square, and to and fro from (10, 10) to (20, 20) and from (20, 30) to (10, 35).
    length = np.linalg.norm(ring - np.roll(ring, 1, axis=0), axis=1).sum()
    assert length == pytest.approx(3 * 40 + 2 * (200**0.5 + 125**0.5))
    assert joined(squares[:1]) is squares[0]


def test_polygons_that_go_round_in_different_ways_do_not_cancel() -> None:
    square = np.array(((0, 0), (10, 0), (10, 10), (0, 10)), float)
    assert (signed_area(square), signed_area(square[::-1])) == (100, -100)
    assert signed_area(joined([square, (square + 20)[::-1]])) == pytest.approx(200)

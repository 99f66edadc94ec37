"""Where boxes and lines stand."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest

from spdbuild.diagram.layout import BOX_HEIGHT, BOX_WIDTH, Layout, lay_out

CHAIN = [("a", "b"), ("b", "c"), ("c", "d")]
SKIP = [*CHAIN, ("a", "d")]
WIDE = [("a", "b"), ("a", "c"), ("a", "d"), ("b", "e"), ("c", "e"), ("d", "e"), ("a", "e")]


def names(edges: list[tuple[str, str]]) -> list[str]:
    return sorted({name for edge in edges for name in edge})


def overlaps(layout: Layout) -> list[tuple[str, str]]:
    return [
        (one, other)
        for (one, p), (other, q) in combinations(layout.centres.items(), 2)
        if abs(p.x - q.x) < BOX_WIDTH and abs(p.y - q.y) < BOX_HEIGHT
    ]


@pytest.mark.parametrize("edges", [CHAIN, SKIP, WIDE], ids=["chain", "skip", "wide"])
def test_every_line_leads_down_and_no_box_covers_another(edges: list[tuple[str, str]]):
    layout = lay_out(names(edges), edges)
    assert set(layout.lines) == set(edges)
    for points in layout.lines.values():
        assert all(above.y < below.y for above, below in pairwise(points))
    assert overlaps(layout) == []


def test_a_chain_is_one_column():
    layout = lay_out("abcd", CHAIN)
    assert {point.x for point in layout.centres.values()} == {BOX_WIDTH / 2}
    assert layout.width == BOX_WIDTH


def test_a_line_that_passes_rows_passes_beside_their_boxes():
    layout = lay_out("abcd", SKIP)
    _, *waypoints, _ = layout.lines["a", "d"]
    assert len(waypoints) == 2
    for point in waypoints:
        assert all(abs(point.x - box.x) > BOX_WIDTH / 2 for box in layout.centres.values() if box.y == point.y)


def test_everything_lies_within_the_picture():
    layout = lay_out(names(WIDE), WIDE)
    assert all(BOX_WIDTH / 2 <= point.x <= layout.width - BOX_WIDTH / 2 for point in layout.centres.values())
    assert max(point.y for point in layout.centres.values()) == layout.height - BOX_HEIGHT / 2


def test_rows_are_ordered_so_that_lines_do_not_cross():
    crossed = [("a", "c"), ("b", "d"), ("a", "x"), ("c", "y"), ("d", "z"), ("b", "z")]
    layout = lay_out(["b", "a", "c", "d", "x", "y", "z"], crossed)
    centres = layout.centres
    assert (centres["a"].x < centres["b"].x) == (centres["c"].x < centres["d"].x)


def test_nothing_to_draw_takes_no_place():
    assert lay_out([], []).width == 0

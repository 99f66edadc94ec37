"""Where labels of boxes stand."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from spdbuild.pictures.labels import place_labels

LABEL = (40, 12)
PICTURE = (200, 150)


def overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return abs(one[0] - other[0]) < LABEL[0] and abs(one[1] - other[1]) < LABEL[1]


def test_a_label_stands_above_its_box_where_there_is_room() -> None:
    assert place_labels([(50, 60, 120, 100)], [LABEL], PICTURE, 2) == [(48, 46)]


def test_a_label_that_does_not_fit_above_stands_within_the_picture() -> None:
    (corner,) = place_labels([(0, 0, 199, 149)], [LABEL], PICTURE, 2)
    assert corner == (0, 0)


def test_of_two_boxes_that_overlap_no_label_covers_the_other() -> None:
    one, other = place_labels([(50, 60, 120, 120), (54, 62, 124, 122)], [LABEL] * 2, PICTURE, 2)
    assert one is not None
    assert other is not None
    assert not overlap(one, other)


def test_small_boxes_in_a_dense_row_have_labels_that_do_not_touch() -> None:
    boxes = [(10 + 9 * k, 70, 16 + 9 * k, 80) for k in range(18)]
    corners = [corner for corner in place_labels(boxes, [LABEL] * 18, PICTURE, 1) if corner is not None]
    assert 3 <= len(corners) < 18
    assert not any(overlap(one, other) for one, other in combinations(corners, 2))


def test_a_label_gives_way_to_a_small_box_above_its_own() -> None:
    (corner, _) = place_labels([(50, 60, 150, 140), (52, 46, 62, 56)], [LABEL, (0, 12)], PICTURE, 2)
    assert corner is not None
    assert not (corner[0] < 62 and corner[0] + LABEL[0] > 52 and corner[1] < 56 and corner[1] + LABEL[1] > 46)


def test_a_label_does_not_cover_its_own_small_box() -> None:
    (corner,) = place_labels([(90, 4, 98, 12)], [LABEL], PICTURE, 2)
    assert corner is not None
    assert corner[1] >= 12 or corner[0] >= 98 or corner[0] + LABEL[0] <= 90


def test_a_large_box_always_has_its_label_and_no_text_has_no_place() -> None:
    boxes = [(10, 10, 190, 140)] * 12
    assert None not in place_labels(boxes, [LABEL] * 12, PICTURE, 2)
    assert place_labels(boxes[:1], [(0, 12)], PICTURE, 2) == [None]


BOX = st.tuples(*[st.floats(-50, 250)] * 2, *[st.floats(0, 200)] * 2)


@given(st.lists(BOX, max_size=12))
def test_labels_lie_in_the_picture(sides: list[tuple[float, float, float, float]]) -> None:
    boxes = [(x, y, x + width, y + height) for x, y, width, height in sides]
    for corner in place_labels(boxes, [LABEL] * len(boxes), PICTURE, 2):
        assert corner is None or (0 <= corner[0] <= 160 and 0 <= corner[1] <= 138)

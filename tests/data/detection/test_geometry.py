from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from spdbuild.data.detection.geometry import apply, clip_polygon, is_aligned, map_labels, random_matrix
from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.outlines import Outlines

STILL = DetectionAugmentation(translate=0, scale=0)


def labels_of(*boxes: tuple[float, float, float, float]) -> Labels:
    count = len(boxes)
    places = np.tile((1.0, 1.0, 0.0, 0.0), (count, 1))
    return Labels(np.array(boxes, np.float64), np.arange(count), places, Outlines.pack([()] * count), np.arange(count))


def map_of(options: DetectionAugmentation, seed: int = 0) -> tuple[np.ndarray, float]:
    return random_matrix(np.random.default_rng(seed), options, (200, 200), 100)


def test_without_options_the_centre_of_the_canvas_is_shown() -> None:
    matrix, scale = map_of(STILL)
    assert scale == 1
    assert matrix.tolist() == [[1, 0, -50], [0, 1, -50], [0, 0, 1]]
    assert is_aligned(matrix)


@given(st.integers(0, 10**6))
def test_scale_and_translation_stay_within_their_bounds(seed: int) -> None:
    matrix, scale = map_of(DetectionAugmentation(translate=0.1, scale=0.5), seed)
    assert 0.5 <= scale <= 1.5
    assert matrix[0, 0] == matrix[1, 1] == pytest.approx(scale)
    assert (abs(apply(matrix, np.array((100.0, 100.0))) - 50) <= 10).all()


def test_rotation_keeps_lengths_and_angles_within_bounds() -> None:
    for seed in range(20):
        matrix, _ = map_of(DetectionAugmentation(translate=0, scale=0, degrees=30), seed)
        assert matrix[:2, :2] @ matrix[:2, :2].T == pytest.approx(np.eye(2))
        assert abs(np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0]))) <= 30
        assert not is_aligned(matrix)


def test_no_perspective_takes_a_part_of_the_canvas_behind_the_viewer() -> None:
    corners = np.array(((0, 0, 1), (2000, 0, 1), (0, 2000, 1), (2000, 2000, 1)), np.float64)
    for seed in range(50):
        options = DetectionAugmentation(perspective=0.001)
        matrix, _ = random_matrix(np.random.default_rng(seed), options, (2000, 2000), 1000)
        assert (corners @ matrix[2] > 0).all()


def test_boxes_are_mapped_and_cut_at_the_border() -> None:
    matrix = np.array(((2.0, 0, -10), (0, 2, -20), (0, 0, 1)))
    mapped = map_labels(labels_of((10, 20, 20, 30), (0, 30, 20, 40)), matrix, 2.0, (100, 100), 60)
    assert mapped.boxes_xyxy.tolist() == [[10, 20, 30, 40], [0, 40, 30, 60]]


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ((10, 10, 13, 13), True),
        ((10, 10, 12, 20), False),  # 2 pixels wide
        ((10, 10, 20, 12), False),  # 2 pixels high
        ((10, 10, 13, 69), True),
        ((10, 10, 13, 70), False),  # 20 times as high as wide
        ((-79, 10, 10, 20), True),
        ((-80, 10, 8, 20), False),  # less than a tenth is left
        ((-50, 10, 0, 20), False),
    ],
)
def test_objects_of_which_little_is_left_go(box: tuple[float, float, float, float], kept: bool) -> None:
    moved = labels_of((box[0] + 100, box[1], box[2] + 100, box[3]))
    shift = np.array(((1.0, 0, -100), (0, 1, 0), (0, 0, 1)))
    assert len(map_labels(moved, shift, 1.0, (300, 300), 100)) == kept


def test_the_box_of_an_outlined_object_is_the_extent_of_its_visible_part() -> None:
    # A triangle whose upper left corner is cut off: what is left begins lower than the box does.
    outline = np.array(((0.0, 0.0), (40.0, 40.0), (0.0, 40.0)))
    place, row = np.array(((1.0, 1, 10, 10),)), np.zeros(1, np.int64)
    one = Labels(np.array(((0.0, 0, 40, 40),)), row, place, Outlines.pack([(outline,)]), row)
    moved = one.with_boxes(one.boxes_xyxy + 10)
    shift = np.array(((1.0, 0, -30), (0, 1, 0), (0, 0, 1)))
    assert map_labels(moved, shift, 1.0, (100, 100), 60).boxes_xyxy.tolist() == [[0, 30, 20, 50]]


@given(st.lists(st.tuples(st.floats(-20, 120), st.floats(-20, 120)), min_size=3, max_size=3))
def test_a_clipped_triangle_has_the_area_that_counting_gives(points: list[tuple[float, float]]) -> None:
    triangle = np.array(points)
    first, second = np.diff(triangle, axis=0)
    # Where the three points are nearly on a line, counting fails.
    assume(abs(first[0] * second[1] - first[1] * second[0]) > 200)
    part = clip_polygon(triangle, 100, 100)
    x, y = part[:, 0], part[:, 1]
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    grid = np.stack(np.meshgrid(np.arange(0.25, 100, 0.5), np.arange(0.25, 100, 0.5)), axis=-1)
    sides = []
    for start, end in zip(triangle, np.roll(triangle, -1, axis=0), strict=True):
        step, offset = end - start, grid - start
        sides.append(step[0] * offset[..., 1] - step[1] * offset[..., 0] >= 0)
    inside = (np.all(sides, axis=0) | ~np.any(sides, axis=0)).sum() * 0.25
    assert area == pytest.approx(inside, abs=60)
    assert (part >= -1e-9).all()
    assert (part <= 100 + 1e-9).all()

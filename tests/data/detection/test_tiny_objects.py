from __future__ import annotations

import numpy as np
import pytest

from spdbuild.data.detection.pixels import read_pixels
from spdbuild.data.sets.tiny_objects import NAMES, TinyObjects, pattern
from spdbuild.errors import ArgumentError


def test_it_is_the_same_every_time_and_for_any_number() -> None:
    few, many = (TinyObjects(images=count, size=64).open("train") for count in (5, 9))
    for index in range(5):
        assert (np.asarray(read_pixels(few, index)) == np.asarray(read_pixels(many, index))).all()
        assert few.of_image(index).boxes_xyxy.tolist() == many.of_image(index).boxes_xyxy.tolist()


def test_splits_and_seeds_differ() -> None:
    images = [
        np.asarray(read_pixels(TinyObjects(images=4, size=64, seed=seed).open(split), 0))  # type: ignore[arg-type]
        for split, seed in (("train", 0), ("val", 0), ("train", 1))
    ]
    assert (images[0] != images[1]).any()
    assert (images[0] != images[2]).any()


def test_objects_are_bright_within_their_box_and_apart_from_each_other() -> None:
    dataset = TinyObjects(images=20, size=96).open("train")
    for index in range(20):
        bright = np.asarray(read_pixels(dataset, index)).min(axis=2) >= 150
        for left, top, right, bottom in dataset.of_image(index).boxes_xyxy.astype(int):
            y, x = np.nonzero(bright[max(0, top - 2) : bottom + 2, max(0, left - 2) : right + 2])
            assert (np.ptp(x) + 1, np.ptp(y) + 1) == (right - left, bottom - top)
            bright[top:bottom, left:right] = False
        assert not bright.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("side", [5, 8, 13, 20])
def test_a_pattern_touches_all_borders_of_its_box(name: str, side: int) -> None:
    painted = pattern(name, side)
    assert painted.shape == (side, side)
    assert painted[0].any()
    assert painted[-1].any()
    assert painted[:, 0].any()
    assert painted[:, -1].any()


@pytest.mark.parametrize("options", [{"images": 0}, {"size": 8}, {"smallest": 30}, {"classes": 7}, {"objects": 0}])
def test_numbers_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match="must be between"):
        TinyObjects(**options)

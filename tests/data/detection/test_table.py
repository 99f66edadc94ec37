"""The table of a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Table

Document = dict[str, Any]
WriteCoco = Callable[[Document], tuple[Path, Path]]


def test_what_many_ask_for_is_worked_out_once(painted: DetectionSet) -> None:
    assert painted.trainable is painted.trainable
    assert painted.image_index is painted.image_index
    assert painted.objects.counted is painted.objects.counted
    part = painted.subset([5, 2])
    assert part.image_index.tolist() == [0, 1]
    assert part.trainable.shape == (2,)


def test_objects_of_an_image_are_the_rows_of_the_table(document: Document, write_coco: WriteCoco) -> None:
    dataset = read_coco(*write_coco(document))
    first, second = dataset.of_image(0), dataset.of_image(1)
    assert first.ids.tolist() == [2, 3]
    assert second.ids.tolist() == [1]
    assert [len(own) for own in first.outlines] == [0, 1]
    np.testing.assert_array_equal(first.outlines[1][0], [[30, 20], [38, 20], [34, 26]])
    # Without a copy: an evaluation asks for every image.
    assert np.shares_memory(first.boxes_xyxy, dataset.objects.boxes_xyxy)
    assert np.shares_memory(first.outlines[1][0], dataset.objects.outlines[1][0])


def test_crowd_regions_and_ignored_objects_do_not_count(document: Document, write_coco: WriteCoco) -> None:
    assert read_coco(*write_coco(document)).objects.counted.tolist() == [False, True, True]


def test_an_object_behind_a_difficult_copy_of_it_is_learned() -> None:
    table = Table(("a",), (1,))
    table.images.append(ImageRecord(1, "a.png", None, 9, 9))
    for ignored in (True, False, False):
        table.add(0, (1, 1, 5, 5), 0, ignored=ignored)
    assert table.build().trainable.tolist() == [False, True, False]

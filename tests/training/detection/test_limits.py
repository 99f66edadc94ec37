"""Images with more objects than an evaluation lets a detector find."""

from __future__ import annotations

import pytest

from spdbuild.data.detection.table import DetectionSet, ImageRecord, Table
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.metrics.nms import NmsOptions
from spdbuild.training.detection.images import DetectionImages
from spdbuild.training.detection.limits import limits_exceeded
from spdbuild.training.detection.options import JudgingOptions


def crowded() -> DetectionSet:
    """An image with 30 objects of one class and 12 of another, then one with 3 objects, then one without any."""
    table = Table(("a", "b"), (1, 2))
    for number, (first, second) in enumerate([(30, 12), (2, 1), (0, 0)]):
        table.images.append(ImageRecord(number + 1, f"{number}.png", None, 640, 64))
        for class_, count, top in ((0, first, 8), (1, second, 40)):
            for index in range(count):
                table.add(number, (20 * index, top, 20 * index + 10, top + 10), class_)
        table.add(number, (0, 0, 640, 64), 0, crowd=True)
    return table.build()


def said(most: int, kept: int, *, class_agnostic: bool = False, tile: int | None = None) -> list[str]:
    options = JudgingOptions(max_detections=most, nms=NmsOptions(max_detections=kept), class_agnostic=class_agnostic)
    return list(limits_exceeded(DetectionImages(crowded(), 64, TileOptions(tile, overlap=0)), options))


def test_limits_that_every_image_keeps_are_not_mentioned() -> None:
    assert said(30, 42) == said(42, 42, class_agnostic=True) == []


def test_detections_are_counted_by_class() -> None:
    assert said(29, 42) == [
        "1 of 3 images have more than 29 objects of one class, up to 30, and no more detections than that count: raise "
        "task.evaluation.max_detections"
    ]


def test_classes_that_are_judged_as_one_share_the_limit() -> None:
    (line,) = said(41, 42, class_agnostic=True)
    assert line.startswith("1 of 3 images have more than 41 objects, up to 42, and ")


def test_suppression_counts_whole_images_or_tiles() -> None:
    assert said(30, 41) == [
        "1 of 3 images have more than 41 objects, up to 42, and NMS keeps no more detections than that: raise "
        "task.evaluation.nms.max_detections, or set task.tiles.size"
    ]
    # Tiles of 64 pixels hold 4 objects of each class.
    assert said(30, 8, tile=64) == []
    (line,) = said(30, 5, tile=64)
    assert line.startswith("3 of 30 tiles have more than 5 objects, up to ")
    assert line.endswith(": raise task.evaluation.nms.max_detections")


@pytest.mark.parametrize("tile", [None, 64])
def test_images_without_objects_exceed_nothing(tile: int | None) -> None:
    images = DetectionImages(crowded().subset([2]), 64, TileOptions(tile))
    assert list(limits_exceeded(images, JudgingOptions(max_detections=1))) == []

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.outlines import Outlines
from spdbuild.data.detection.pasting import paste_mirrored
from spdbuild.data.detection.scene import PlacedImage, Scene


def scene_with(*boxes: tuple[int, int, int, int], width: int = 100) -> Scene:
    """A black canvas with a filled rectangle of brightness 10, 20, ... at each box, outlined."""
    pixels = np.zeros((60, width, 3), np.uint8)
    outlines = []
    for number, (left, top, right, bottom) in enumerate(boxes, 1):
        pixels[top:bottom, left:right] = 10 * number
        outlines.append((np.array(((left, top), (right, top), (right, bottom), (left, bottom)), np.float64),))
    places = np.tile((1.0, 1.0, 0.0, 0.0), (len(boxes), 1))
    rows = np.arange(len(boxes))
    labels = Labels(np.array(boxes, np.float64), rows, places, Outlines.pack(outlines), rows)
    return Scene(60, width, (PlacedImage(pixels, 0, 0),), labels)


def test_an_object_appears_again_on_the_other_side() -> None:
    before = scene_with((10, 20, 30, 40))
    after = paste_mirrored(before, 1.0, np.random.default_rng(0))
    assert after.labels.boxes_xyxy.tolist() == [[10, 20, 30, 40], [70, 20, 90, 40]]
    assert after.labels.classes.tolist() == [0, 0]
    pixels = after.window(0, 0, 100, 60)
    assert (pixels[20:40, 70:90] == 10).all()
    assert pixels.astype(int).sum() == 2 * before.window(0, 0, 100, 60).astype(int).sum()


def test_the_copy_is_a_mirror_image() -> None:
    scene = scene_with((10, 20, 30, 40))
    scene.images[0].pixels[20:40, 10:20] = 99
    pixels = paste_mirrored(scene, 1.0, np.random.default_rng(0)).window(0, 0, 100, 60)
    assert (pixels[20:40, 70:90] == pixels[20:40, 10:30][:, ::-1]).all()
    assert (pixels[20:40, 80:90] == 99).all()


def test_an_object_that_would_hide_another_is_not_pasted() -> None:
    # The mirrored first covers 4 of the second's 10 columns, and the other way round.
    after = paste_mirrored(scene_with((10, 20, 20, 40), (86, 20, 96, 40)), 1.0, np.random.default_rng(0))
    assert len(after.labels) == 2
    # 2 of 10 columns are less than 0.30.
    after = paste_mirrored(scene_with((10, 20, 20, 40), (88, 20, 98, 40)), 1.0, np.random.default_rng(0))
    assert len(after.labels) > 2


def test_the_share_of_objects_is_rounded() -> None:
    boxes = [(2 + 9 * i, 5, 5 + 9 * i, 10) for i in range(5)]
    after = paste_mirrored(scene_with(*boxes, width=200), 0.5, np.random.default_rng(3))
    assert len(after.labels) == 5 + 2


def test_objects_without_an_outline_stay_alone() -> None:
    scene = scene_with((10, 20, 30, 40))
    bare = replace(scene.labels, outlines=Outlines.pack([()]))
    after = paste_mirrored(Scene(60, 100, scene.images, bare), 1.0, np.random.default_rng(0))
    assert len(after.labels) == 1

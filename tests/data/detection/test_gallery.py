from __future__ import annotations

import numpy as np
from PIL import Image

from spdbuild.data.detection.gallery import gallery
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.pictures.drawing import class_colour


def test_images_of_several_batches_stand_in_rows() -> None:
    loader = DetectionLoader(TinyObjects(images=10, size=64).open("train"), 4, 64)
    assert gallery(loader, columns=3, most=6).size == (3 * 68 + 4, 2 * 68 + 4)
    assert gallery(loader, columns=3, most=99).size == (3 * 68 + 4, 4 * 68 + 4)


def test_a_frame_stands_around_each_object(painted: DetectionSet) -> None:
    sheet = gallery(DetectionLoader(painted.subset([0]), 1, 128), columns=1)
    left, top, right, bottom = (int(edge) + 4 for edge in painted.of_image(0).boxes_xyxy[0])
    pixels = np.asarray(sheet)
    assert tuple(pixels[bottom, left + 3]) == class_colour(0)
    assert tuple(pixels[top + 9, right]) == class_colour(0)
    assert isinstance(sheet, Image.Image)

from __future__ import annotations

import numpy as np

from spdbuild.data.detection.fetch import ImageLabels
from spdbuild.data.detection.table import NO_CLASS, ImageRecord, Table


def test_each_image_has_the_objects_to_be_learned_at_the_training_size() -> None:
    table = Table(("a", "b"), (1, 2))
    table.images += [ImageRecord(1, "1.png", None, 100, 50), ImageRecord(2, "2.png", None, 40, 80)]
    table.images.append(ImageRecord(3, "3.png", None, 10, 10))
    triangle = np.array(((10.0, 10.0), (30.0, 10.0), (10.0, 20.0)))
    table.add(0, (10, 10, 30, 20), 1, outline=(triangle,))
    table.add(0, (-20, 40, 20, 60), 0)  # reaches over the border
    table.add(0, (120, 10, 130, 20), 0)  # outside
    table.add(0, (1, 1, 9, 9), 0, crowd=True)
    table.add(1, (1, 1, 9, 9), NO_CLASS)
    table.add(1, (0, 0, 40, 80), 0)
    labels = ImageLabels(table.build(), 200)

    assert labels[0].boxes_xyxy.tolist() == [[20, 20, 60, 40], [0, 80, 40, 100]]
    assert labels[0].classes.tolist() == [1, 0]
    assert labels[0].outlined.tolist() == [True, False]
    np.testing.assert_array_equal(labels[0].outline(0)[0], triangle * 2)
    assert labels[1].boxes_xyxy.tolist() == [[0, 0, 100, 200]]
    assert len(labels[2]) == 0

"""The table of a data set."""

from __future__ import annotations

from spdbuild.data.detection.table import DetectionSet


def test_what_many_ask_for_is_worked_out_once(painted: DetectionSet) -> None:
    assert painted.trainable is painted.trainable
    assert painted.image_index is painted.image_index
    part = painted.subset([5, 2])
    assert part.image_index.tolist() == [0, 1]
    assert part.trainable.shape == (2,)

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.training.detection import samples
from spdbuild.training.detection.samples import draw_samples
from spdbuild.training.detection.seeing import picture_of


@pytest.fixture
def dataset() -> DetectionSet:
    return TinyObjects(images=40, size=64, largest=12).open("val")


def test_pictures_with_objects_are_shown_spread_over_the_data(dataset: DetectionSet) -> None:
    shown: list[bytes] = []

    def see(picture: Tensor) -> Tensor:
        shown.append(picture.numpy().tobytes())
        return torch.zeros(0, 6)

    draw_samples(see, dataset)
    with_objects = np.unique(dataset.image_index)
    places = [with_objects[i * len(with_objects) // 8] for i in range(8)]
    assert shown == [picture_of(dataset, int(place)).numpy().tobytes() for place in places]


def test_annotated_boxes_are_left_and_what_is_found_is_right(
    dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "_SAMPLES", 1)
    sheet = np.asarray(draw_samples(lambda picture: torch.zeros(0, 6), dataset))
    left, right = sheet[4:484, 4:484], sheet[4:484, 488:968]
    first = int(dataset.image_index[0])
    assert dataset.draw is not None
    plain = np.asarray(Image.fromarray(dataset.draw(dataset.images[first])).resize((480, 480)))
    assert (right == plain).all()
    changed = np.argwhere((left != plain).any(axis=2))
    box = dataset.of_image(first).boxes_xyxy * 480 / 64
    # Frames lie a pixel or two outside of the boxes, names above or below.
    assert np.abs(changed[:, 1].min() - box[:, 0].min()) <= 2
    assert len(changed) > 0


def test_the_number_of_boxes_stands_below_a_file_name_of_any_length(
    dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[tuple[str, ...]] = []
    monkeypatch.setattr(samples, "_SAMPLES", 1)
    monkeypatch.setattr(samples, "captioned", lambda image, *texts: lines.append(texts) or image)
    draw_samples(lambda picture: torch.zeros(0, 6), dataset)
    first = int(dataset.image_index[0])
    count = int((dataset.of_image(first).classes >= 0).sum())
    assert lines == [(dataset.images[first].name, f"{count} annotated"), ("", "0 found")]

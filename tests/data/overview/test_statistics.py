from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from spdbuild.data import ArrayImages, Loader
from spdbuild.data.overview import statistics as counting
from spdbuild.data.overview.statistics import statistics
from spdbuild.data.sets.digits import Digits
from spdbuild.data.sets.folder import Folder


def test_mean_and_deviation_are_numpys() -> None:
    split = statistics(Digits())["train"]
    pixels = Digits().open("train").images.numpy() / 255
    np.testing.assert_allclose(split.mean, pixels.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(split.std, pixels.std((0, 2, 3)), rtol=1e-6)


@pytest.mark.parametrize("memory_gib", [1.0, 0.0], ids=["memory", "files"])
def test_images_are_counted_as_a_network_sees_them(class_folders: Path, memory_gib: float) -> None:
    (class_folders / "train" / "cat" / "train-cat-0.png").write_bytes(b"")
    split = statistics(Folder(str(class_folders), on_error="skip", memory_gib=memory_gib))["train"]
    assert (split.images, split.skipped, split.size) == (5, 1, (8, 8))
    assert split.classes == {"cat": 2, "dog": 3}


def test_large_images_are_looked_at_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ArrayImages(
        torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).repeat(1, 3, 4, 4), torch.zeros(5).long(), ("a", "b")
    )
    sizes = []

    class Watched(Loader):
        def __init__(self, image_set: ArrayImages, batch: int, **options: bool) -> None:
            sizes.append(batch)
            super().__init__(image_set, batch, **options)

    monkeypatch.setattr(counting, "Loader", Watched)
    monkeypatch.setattr(counting, "_PIXELS", 100)
    mean, _ = counting.channel_statistics(images)
    assert sizes == [2]
    assert mean == pytest.approx([2 / 255] * 3)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spdbuild.data.digits import Digits
from spdbuild.data.folder import Folder
from spdbuild.data.statistics import statistics


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

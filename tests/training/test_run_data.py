"""What tells the images of one run from those of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from spdbuild.data import ArrayImages
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.training.detection.images import DetectionImages
from spdbuild.training.run_data import fingerprint


def digest(root: Path, memory_gib: float = 2.0) -> str:
    """The fingerprint of the images to train on in a folder."""
    return fingerprint(Folder(str(root), memory_gib=memory_gib).open("train"))


def data_set(root: Path, ending: str = "png", factor: int = 1) -> Path:
    """A folder of four images in two classes."""
    pixels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(8, 8, 3)
    for number, label in enumerate("aabb"):
        folder = root / "train" / label
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:: (-1) ** number] * factor).save(folder / f"{number}.{ending}")
    return root


def test_images_are_the_same_wherever_and_however_they_are_read(tmp_path: Path) -> None:
    here, there = data_set(tmp_path / "here"), data_set(tmp_path / "there")
    assert digest(here) == digest(there) == digest(there, memory_gib=0)
    (there / "train/b/3.png").unlink()
    assert digest(here) != digest(there)


def test_a_processed_copy_is_told_by_the_lengths_of_its_files(tmp_path: Path) -> None:
    here, there = data_set(tmp_path / "here"), data_set(tmp_path / "there")
    (there / "train/b/3.png").write_bytes((here / "train/b/3.png").read_bytes() + b"\0")
    assert digest(here) != digest(there)


def test_a_processed_copy_with_files_as_long_is_told_by_the_first(tmp_path: Path) -> None:
    here, there = data_set(tmp_path / "here", "bmp"), data_set(tmp_path / "there", "bmp", factor=2)
    lengths = [[path.stat().st_size for path in sorted(root.rglob("*.bmp"))] for root in (here, there)]
    assert lengths[0] == lengths[1]
    assert digest(here) != digest(there)


def test_a_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    images = Folder(str(data_set(tmp_path / "here"))).open("train")
    (tmp_path / "here/train/a/0.png").unlink()
    assert fingerprint(images)


def test_images_of_detectors_and_images_without_files() -> None:
    generated = DetectionImages(TinyObjects(images=4).open("train"), 64)
    assert (fingerprint(generated), generated.paths) == (generated.digest, ())
    images = TinyObjects(images=4).open("val")
    assert fingerprint(DetectionImages(images, 64)) != fingerprint(generated)
    assert fingerprint(object()) == ""
    sample: ArrayImages = Folder.sample()
    assert fingerprint(sample) == sample.digest

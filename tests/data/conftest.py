"""Small data sets on disk, and a cache of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spdbuild.data import ArrayImages
from spdbuild.data.files import reading

WriteImage = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPDBUILD_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def write_image() -> WriteImage:
    """Writes an image of random pixels that depend on the file's name."""

    def write(path: Path, mode: str = "RGB", size: tuple[int, int] = (8, 8)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        bands = len(Image.new(mode, (1, 1)).getbands())
        shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
        pixels = np.random.default_rng(list(path.name.encode())).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels, mode if bands > 1 else "L").convert(mode).save(path)
        return path

    return write


@pytest.fixture
def class_folders(tmp_path: Path, write_image: WriteImage) -> Path:
    """A folder of classes: cat and dog, three images each to train on and two to test."""
    root = tmp_path / "pets"
    for split, count in (("train", 3), ("test", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                write_image(root / split / name / f"{split}-{name}-{number}.png")
    return root


@pytest.fixture
def tiny_imagenet(tmp_path: Path, write_image: WriteImage) -> Path:
    """Tiny ImageNet's layout with two classes, whose order in wnids.txt is not that of their names."""
    root = tmp_path / "tiny-imagenet-200"
    for wnid in ("n02", "n01"):
        for number in range(2):
            write_image(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", size=(64, 64))
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t9\t9\n")
    (root / "wnids.txt").write_text("n02\nn01\n")
    (root / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\treel\nn03\tcat\n")
    write_image(root / "val" / "images" / "val_0.JPEG", size=(64, 64))
    write_image(root / "val" / "images" / "val_1.JPEG", mode="L", size=(64, 64))
    (root / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn01\t0\t0\t9\t9\nval_1.JPEG\tn02\t0\t0\t9\t9\n")
    return root


@pytest.fixture
def ten_images() -> ArrayImages:
    """Ten images of three classes; every image has one value everywhere, ten times its position."""
    values = torch.arange(10, dtype=torch.uint8) * 10
    return ArrayImages(
        values.view(10, 1, 1, 1).repeat(1, 3, 8, 8), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 2, 0]), ("a", "b", "c")
    )


@pytest.fixture
def class_folders_of(tmp_path: Path) -> Callable[..., Path]:
    """`class_folders_of(cat=20, dog=3)` makes a folder with so many images of each class, without splits."""

    def make(**counts: int) -> Path:
        for name, count in counts.items():
            (tmp_path / "all" / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (8, 8)).save(tmp_path / "all" / name / f"{number}.png")
        return tmp_path / "all"

    return make


@pytest.fixture
def damaged(class_folders: Path) -> Path:
    """Class folders with an empty file among the images."""
    (class_folders / "train" / "cat" / "train-cat-1.png").write_bytes(b"")
    return class_folders


@pytest.fixture
def always_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of few images are cached, too."""
    monkeypatch.setattr(reading, "_CACHED_FROM", 1)

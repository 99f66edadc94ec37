"""A whole data set in another format, by one call."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.data import DATASETS
from spdbuild.data.detection.convert import convert_data_set
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.data.tiny_objects import TinyObjects
from spdbuild.errors import DataError


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """A converted data set of 64 x 64 pixels, 8 images to train on and 2 in each other split."""
    done, skipped = convert_data_set(TinyObjects(images=8, size=64, largest=12), "yolo", tmp_path / "yolo")
    assert (done.folder, done.images, skipped) == (tmp_path / "yolo", 12, 0)
    return tmp_path / "yolo"


def test_what_cannot_be_used_is_refused_or_skipped_and_counted(yolo: Path, tmp_path: Path) -> None:
    label = next(path for path in sorted((yolo / "labels" / "train").iterdir()) if path.read_text())
    label.write_text(label.read_text() + "9 0.5 0.5 0.1 0.1\n")
    yolo_data, file = DATASETS["yolo"], str(yolo / "data.yaml")
    with pytest.raises(DataError, match="1 x unknown category"):
        convert_data_set(yolo_data(file), "coco", tmp_path / "coco")
    _, skipped = convert_data_set(yolo_data(file, on_error="skip"), "coco", tmp_path / "coco")
    assert skipped == 1


def test_windows_without_anything_to_learn_are_left_out_of_the_training_split_alone(tmp_path: Path) -> None:
    data_set = TinyObjects(images=8, size=64, largest=12)
    tiles = TileOptions(size=32, overlap=0, background=0)
    done, _ = convert_data_set(data_set, "yolo", tmp_path / "yolo", tiles=tiles)
    names = {split: list((tmp_path / "yolo" / "images" / split).iterdir()) for split in ("train", "val")}
    assert len(names["train"]) < 4 * 8
    assert len(names["val"]) == 4 * 2
    assert done.images == len(names["train"]) + 2 * len(names["val"])

"""A whole data set in another format, by one call."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from spdbuild.cli.data import command
from spdbuild.data import DATASETS
from spdbuild.data.detection.check import check
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.convert import convert, convert_data_set
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.data.detection.yolo_txt import read_yolo
from spdbuild.data.sets.tiny_objects import TinyObjects
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


def test_images_without_objects_leave_no_tile_to_learn_from(yolo: Path, tmp_path: Path) -> None:
    for label in (yolo / "labels" / "train").iterdir():
        label.write_text("")
    tiles = TileOptions(size=32)
    with pytest.raises(DataError, match="no tile of 'train' has an object to learn"):
        convert_data_set(DATASETS["yolo"](str(yolo / "data.yaml")), "yolo", tmp_path / "tiled", tiles=tiles)
    assert not (tmp_path / "tiled").exists()


def test_grey_levels_that_tiles_lose_are_told(yolo: Path, tmp_path: Path) -> None:
    for file in (yolo / "images").rglob("*.png"):
        with Image.open(file) as image:
            pixels = np.asarray(image.convert("L")).astype(np.uint16)
        Image.fromarray(pixels).save(file)
    name, cls = str(yolo / "data.yaml"), DATASETS["yolo"]
    done, _ = convert_data_set(cls(name), "yolo", tmp_path / "tiled", tiles=TileOptions(size=32))
    assert len(done.lossy) == len({finding.where for finding in done.lossy}) == 12
    assert {finding.kind for finding in done.lossy} == {"few grey levels"}
    assert "1 grey level is left; set levels to the range of the data" in done.lossy[0].detail
    copied, _ = convert_data_set(cls(name), "yolo", tmp_path / "copied")
    scaled, _ = convert_data_set(cls(name, levels=(0, 255)), "yolo", tmp_path / "scaled", tiles=TileOptions(size=32))
    assert copied.lossy == scaled.lossy == ()
    result = CliRunner().invoke(command, ["convert", name, "--to", "yolo", "--tile", "32", "-o", str(tmp_path / "out")])
    assert result.output.count("few grey levels: ") == 5
    assert "and 7 more" in result.output


def test_a_box_far_beyond_its_image_is_written_so_that_it_can_be_read(
    document: Any, write_coco: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    document["annotations"][0]["bbox"] = [30, 20, 100_000, 9.75]
    convert({"train": read_coco(*write_coco(document))}, "yolo", tmp_path / "yolo")
    written = read_yolo(tmp_path / "yolo" / "data.yaml", "train")
    assert [finding for finding in written.findings if finding.kind != "extra image"] == []
    assert written.of_image(1).boxes_xyxy.tolist() == [pytest.approx([30, 20, 40, 29.75], abs=1e-6)]


@pytest.mark.parametrize("name", ["a\0.png", "\ud800.png"])
def test_names_that_no_file_can_have_are_missing_images(
    document: Any, write_coco: Callable[..., tuple[Path, Path]], name: str
) -> None:
    annotations, images = write_coco(document)
    document["images"][0]["file_name"] = name
    annotations.write_text(json.dumps(document))
    found = check(read_coco(annotations, images)).findings
    assert [finding.kind for finding in found] == ["missing image"]

"""Small annotated data sets: on disk in COCO's format, and painted in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spdbuild.data.detection.table import DetectionSet, ImageRecord, Pixels, Table

#: Far from each other and from the grey that fills what no image covers.
COLOURS = np.array(list(itertools.product((0, 255), repeat=3)), np.uint8)

Document = dict[str, Any]
WriteCoco = Callable[..., tuple[Path, Path]]


@pytest.fixture
def document() -> Document:
    """Two images and three objects; category 7 comes before 3 in the file, but not by id."""
    return {
        "images": [
            {"id": 20, "file_name": "b.png", "width": 40, "height": 30},
            {"id": 10, "file_name": "a.png", "width": 64, "height": 48},
        ],
        "annotations": [
            {"id": 1, "image_id": 20, "category_id": 7, "bbox": [1, 2, 10, 20], "area": 150, "iscrowd": 0},
            {"id": 2, "image_id": 10, "category_id": 3, "bbox": [5.5, 6.25, 7, 8], "area": 56, "iscrowd": 1},
            {
                "id": 3,
                "image_id": 10,
                "category_id": 3,
                "bbox": [30, 20, 8, 6],
                "area": 24,
                "iscrowd": 0,
                "segmentation": [[30, 20, 38, 20, 34, 26]],
            },
        ],
        "categories": [{"id": 7, "name": "car"}, {"id": 3, "name": "person"}],
    }


@pytest.fixture
def write_coco(tmp_path: Path) -> WriteCoco:
    """Writes a document and its images; gives the annotation file and the folder of images."""

    def write(document: Document) -> tuple[Path, Path]:
        images = tmp_path / "coco" / "images"
        images.mkdir(parents=True)
        for entry in document["images"]:
            pixels = np.random.default_rng(entry["id"]).integers(0, 256, (entry["height"], entry["width"], 3))
            Image.fromarray(pixels.astype(np.uint8)).save(images / entry["file_name"])
        annotations = tmp_path / "coco" / "annotations.json"
        annotations.write_text(json.dumps(document))
        return annotations, images

    return write


def paint(image: ImageRecord) -> Pixels:
    """Grey, with a rectangle in the colour of the image's class."""
    left, top, right, bottom = rectangle(image.id)
    pixels = np.full((image.height, image.width, 3), 114, np.uint8)
    pixels[top:bottom, left:right] = COLOURS[image.id % 8]
    return pixels


def rectangle(number: int) -> tuple[int, int, int, int]:
    """Where image `number` has its object."""
    rng = np.random.default_rng(number)
    left, top = rng.integers(5, 60, 2).tolist()
    return left, top, left + int(rng.integers(24, 56)), top + int(rng.integers(24, 56))


@pytest.fixture
def colours() -> NDArray[np.uint8]:
    """[8, 3], of each class of `painted`."""
    return COLOURS


@pytest.fixture
def painted() -> DetectionSet:
    """Eight images of 128 pixels, each with a rectangle in a colour of its own, whose outline is annotated."""
    table = Table([f"colour {number}" for number in range(8)], range(1, 9))
    for number in range(8):
        width, height = ((128, 128), (128, 120), (122, 128))[number % 3]
        table.images.append(ImageRecord(number, f"{number}.png", None, width, height))
        left, top, right, bottom = rectangle(number)
        outline = np.array(((left, top), (right, top), (right, bottom), (left, bottom)), np.float64)
        table.add(number, (left, top, right, bottom), number, outline=(outline,))
    return replace(table.build(), draw=paint)


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """A data set of two training images and one to validate on; gives its YAML."""
    for split, name, rows in (
        ("train", "b", "0 0.5 0.5 0.25 0.5\n1 0.1 0.2 0.5 0.2 0.5 0.6\n"),
        ("train", "a", None),
        ("val", "c", ""),
    ):
        image = tmp_path / "images" / split / f"{name}.png"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((50, 100, 3), np.uint8)).save(image)
        if rows is not None:
            labels = tmp_path / "labels" / split / f"{name}.txt"
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text(rows)
    yaml = tmp_path / "data.yaml"
    yaml.write_text(
        "# as it comes\npath: .\ntrain: images/train\nval: images/val\ntest:\n\nnames:\n  0: person\n  1: car\n"
        "download: |\n  print('never run')\n"
    )
    return yaml

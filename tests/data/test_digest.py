"""Data sets are the same if their images have the same names or pixels, and the same labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from spdbuild.data import ArrayImages, FileImages
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.sets.tiny_objects import TinyObjects


def files(root: str, *names: str, labels: tuple[int, ...] = (0, 1)) -> FileImages:
    return FileImages([Path(root, name) for name in names], torch.tensor(labels), ("bee", "wasp"), (8, 8))


def test_files_go_by_their_names_below_the_folder_of_all() -> None:
    here = files("/a/insects", "bee/0.png", "wasp/0.png")
    assert here.digest == files("/other/disk/moved", "bee/0.png", "wasp/0.png").digest
    others = [
        files("/a/insects", "bee/1.png", "wasp/0.png"),
        files("/a/insects", "wasp/0.png", "bee/0.png"),
        files("/a/insects", "bee/0.png", "wasp/0.png", labels=(1, 1)),
        files("/a/insects", "bee/0.png", "hornet/0.png"),
    ]
    assert here.digest not in {other.digest for other in others}


def test_files_in_memory_are_the_same_as_those_that_are_decoded() -> None:
    there = files("/a/insects", "bee/0.png", "wasp/0.png")
    read = ArrayImages(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), there.labels, there.classes, paths=there.paths)
    assert read.digest == there.digest


def test_images_without_files_go_by_pixels_and_labels() -> None:
    pixels, labels = torch.arange(2 * 3 * 8 * 8, dtype=torch.uint8).view(2, 3, 8, 8), torch.tensor([0, 1])
    images = ArrayImages(pixels, labels, ("bee", "wasp"))
    assert images.digest == ArrayImages(pixels.clone(), labels.clone(), ("bee", "wasp")).digest
    assert images.digest != ArrayImages(pixels + 1, labels, ("bee", "wasp")).digest
    assert images.digest != ArrayImages(pixels, labels.flip(0), ("bee", "wasp")).digest
    assert images.digest != ArrayImages(pixels.view(2, 3, 4, 16), labels, ("bee", "wasp")).digest


def changed(dataset: DetectionSet, **columns: np.ndarray) -> DetectionSet:
    return replace(dataset, objects=replace(dataset.objects, **columns))


def test_detection_sets_go_by_images_and_objects() -> None:
    data = TinyObjects(images=8)
    dataset, again = data.open("train"), data.open("train")
    assert dataset.digest == again.digest
    objects = dataset.objects
    others = [
        changed(dataset, boxes_xyxy=objects.boxes_xyxy + 1),
        changed(dataset, classes=objects.classes[::-1]),
        changed(dataset, crowd=~objects.crowd),
        dataset.subset([*range(1, len(dataset)), 0]),
        replace(dataset, images=(replace(dataset.images[0], name="other"), *dataset.images[1:])),
        data.open("val"),
    ]
    assert len({dataset.digest, *(other.digest for other in others)}) == len(others) + 1

"""What holds for every registered data set for detection."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from spdbuild.data import DATASETS
from spdbuild.data.detection.convert import convert
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.sets.coco import Coco
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.data.sets.voc import Voc
from spdbuild.data.sets.yolo import Yolo
from spdbuild.errors import DataError

NAMES = sorted(name for name, cls in DATASETS.items() if getattr(cls, "task", "") == "detection")


def test_all_are_found() -> None:
    assert {"coco", "tiny_objects", "voc", "yolo"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_its_sample_can_be_loaded(name: str) -> None:
    sample = DATASETS[name].sample()
    assert isinstance(sample, DetectionSet)
    batch = next(iter(DetectionLoader(sample, 4, 64, augment=DetectionAugmentation(), shuffle=True)))
    assert batch.images.shape == (4, 3, 64, 64)


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_has_its_fields_and_its_source(name: str) -> None:
    doc = DATASETS[name].__doc__ or ""
    assert all(field.name in doc for field in dataclasses.fields(DATASETS[name]))
    assert "Source: " in doc


def test_each_format_opens_what_was_converted_to_it(tmp_path: Path) -> None:
    splits = {split: TinyObjects(images=8, size=64).open(split) for split in ("train", "val")}
    for format in ("coco", "yolo", "voc"):
        convert(splits, format, tmp_path / format)
    coco = Coco(
        root=str(tmp_path / "coco"),
        train_images="images/train",
        train_annotations="annotations/train.json",
        val_images="images/val",
        val_annotations="annotations/val.json",
    )
    for opened in (coco, Yolo(file=str(tmp_path / "yolo" / "data.yaml")), Voc(root=str(tmp_path / "voc"))):
        assert [len(opened.open(split).objects) for split in ("train", "val")] == [
            len(splits[split].objects) for split in ("train", "val")
        ]


def test_a_folder_that_is_not_there_is_refused_with_what_is(tmp_path: Path) -> None:
    (tmp_path / "annots").mkdir()
    with pytest.raises(DataError, match="(?s)instances_train2017.json does not exist"):
        Coco(root=str(tmp_path)).open("train")

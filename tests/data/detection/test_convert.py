from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.convert import Format, convert
from spdbuild.data.detection.pixels import read_pixels
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.detection.voc_xml import read_voc
from spdbuild.data.detection.yolo_txt import read_yolo
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import ArgumentError, DataError

FORMATS: tuple[Format, ...] = ("coco", "yolo", "voc")


def read(format: Format, folder: Path, split: str) -> DetectionSet:
    if format == "coco":
        return read_coco(folder / "annotations" / f"{split}.json", folder / "images" / split)
    return read_yolo(folder / "data.yaml", split) if format == "yolo" else read_voc(folder, split, names=NAMES)


NAMES = ("disc", "ring", "square", "frame", "cross", "stripes")


def rows(dataset: DetectionSet) -> dict[str, list[Any]]:
    """Class and box of every object that is no crowd, by the stem of its image."""
    return {
        Path(image.name).stem: [
            (dataset.names[class_], *(round(edge, 4) for edge in box))
            for class_, box in zip(objects.classes, objects.boxes_xyxy.tolist(), strict=True)
        ]
        for index, image in enumerate(dataset.images)
        for objects in [dataset.of_image(index)]
    }


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
def test_boxes_and_pixels_survive_two_conversions(tmp_path: Path, first: Format, second: Format) -> None:
    splits = {split: TinyObjects(images=8, size=64, smallest=5, largest=9).open(split) for split in ("train", "val")}
    convert(splits, first, tmp_path / "first")
    between = {split: read(first, tmp_path / "first", split) for split in splits}
    convert(between, second, tmp_path / "second")
    for split, original in splits.items():
        result = read(second, tmp_path / "second", split)
        assert result.names == original.names
        assert rows(result) == rows(original)
        assert (read_pixels(result, 1) == read_pixels(original, 1)).all()  # type: ignore[union-attr]
        assert not result.findings


def test_coco_comes_back_from_yolo_within_rounding(data_folder: Path, tmp_path: Path) -> None:
    root = data_folder / "coco-mini"
    dataset = read_coco(root / "annotations" / "instances_val2017.json", root / "val2017")
    report = convert({"val": dataset}, "yolo", tmp_path / "yolo")
    result = read_yolo(tmp_path / "yolo" / "data.yaml", "val")
    kept = ~dataset.objects.crowd
    assert report.left_out == dataset.objects.crowd.sum()
    assert report.objects == len(result.objects) == kept.sum()
    assert np.abs(result.objects.boxes_xyxy - dataset.objects.boxes_xyxy[kept]).max() < 1e-5
    assert result.category_ids == dataset.category_ids
    assert [image.id for image in result.images] == [image.id for image in dataset.images]


def test_splits_with_equal_file_names_share_a_voc_folder(tmp_path: Path) -> None:
    train, val = (TinyObjects(images=4, size=64).open(split) for split in ("train", "val"))
    images = tuple(replace(image, name=image.name.replace("val", "train")) for image in val.images)
    convert({"train": train, "val": replace(val, images=images)}, "voc", tmp_path / "voc")
    for split, original in (("train", train), ("val", val)):
        result = read_voc(tmp_path / "voc", split, names=NAMES)
        assert list(rows(result).values()) == list(rows(original).values())
    assert len(list((tmp_path / "voc" / "JPEGImages").iterdir())) == 5


def test_voc_keeps_what_is_ignored_as_difficult(tmp_path: Path, document: Any, write_coco: Callable[..., Any]) -> None:
    dataset = read_coco(*write_coco(document), ignore=["person"])
    report = convert({"train": dataset}, "voc", tmp_path / "voc")
    assert report.left_out == 2
    assert read_voc(tmp_path / "voc", "train").objects.boxes_xyxy.tolist() == [[1, 2, 11, 22]]


def test_a_missing_image_leaves_nothing_behind(tmp_path: Path, document: Any, write_coco: Callable[..., Any]) -> None:
    dataset = read_coco(*write_coco(document))
    assert dataset.images[1].path is not None
    dataset.images[1].path.unlink()
    with pytest.raises(DataError, match="b.png does not exist"):
        convert({"train": dataset}, "yolo", tmp_path / "out" / "yolo")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="is there already"):
        convert({"train": TinyObjects.sample()}, "coco", tmp_path)
    assert (tmp_path / "file").read_text() == "mine"


def test_names_that_lead_out_of_the_folder_are_refused(
    tmp_path: Path, document: Any, write_coco: Callable[..., Any]
) -> None:
    annotations, images = write_coco(document)
    annotations.write_text(annotations.read_text().replace('"a.png"', '"../images/a.png"'))
    with pytest.raises(DataError, match="leads out of the folder"):
        convert({"train": read_coco(annotations, images)}, "coco", tmp_path / "out")


def test_two_images_that_differ_by_suffix_only_cannot_be_yolo(
    tmp_path: Path, document: Any, write_coco: Callable[..., Any]
) -> None:
    document["images"][0]["file_name"] = "a.bmp"
    with pytest.raises(DataError, match="2 images are called 'a' but for their suffix"):
        convert({"train": read_coco(*write_coco(document))}, "yolo", tmp_path / "out")


def test_categories_of_coco_count_from_1(tmp_path: Path) -> None:
    convert({"train": TinyObjects(images=4, size=64).open("train")}, "yolo", tmp_path / "yolo")
    dataset = read_yolo(tmp_path / "yolo" / "data.yaml", "train")
    convert({"train": dataset}, "coco", tmp_path / "coco")
    # Those of predictions.json, too.
    assert dataset.category_ids == (1, 2, 3, 4, 5, 6)
    document = json.loads((tmp_path / "coco" / "annotations" / "train.json").read_text())
    assert [category["id"] for category in document["categories"]] == [1, 2, 3, 4, 5, 6]
    assert {entry["category_id"] for entry in document["annotations"]} <= {1, 2, 3, 4, 5, 6}


def test_outlines_of_coco_go_to_yolo_and_back(data_folder: Path, tmp_path: Path) -> None:
    root = data_folder / "coco-mini"
    dataset = read_coco(root / "annotations" / "instances_val2017.json", root / "val2017").subset(range(20))
    rows = np.flatnonzero(~dataset.objects.crowd)
    boxes = convert({"val": dataset}, "yolo", tmp_path / "boxes")
    assert (boxes.objects, boxes.boxes_only) == (len(rows), len(rows))
    report = convert({"val": dataset}, "yolo", tmp_path / "yolo", outlines=True)
    assert (report.objects, report.boxes_only) == (len(rows), 0)
    result = read_yolo(tmp_path / "yolo" / "data.yaml", "val").objects
    convert({"val": read_yolo(tmp_path / "yolo" / "data.yaml", "val")}, "coco", tmp_path / "coco")
    again = read_coco(tmp_path / "coco" / "annotations" / "val.json", tmp_path / "coco" / "images" / "val").objects
    for place, row in enumerate(rows.tolist()):
        points = np.concatenate(dataset.objects.outlines[row])
        extent = (*points.min(axis=0), *points.max(axis=0))
        for objects in (result, again):
            assert objects.boxes_xyxy[place] == pytest.approx(extent, abs=1e-5)
            assert len(objects.outlines[place]) == 1
            assert set(map(tuple, objects.outlines[place][0].round(3))) == set(map(tuple, points.round(3)))


@pytest.fixture
def masked(document: Any, write_coco: Callable[..., Any]) -> DetectionSet:
    """An object with a mask in pycocotools' text, a crowd region with one in COCO's numbers, and an outline."""
    document["annotations"][0]["segmentation"] = {"size": [30, 40], "counts": "T3l1`P1"}
    document["annotations"][1]["segmentation"] = {"counts": [500, 40, 2532], "size": [48, 64]}
    return read_coco(*write_coco(document))


def test_coco_keeps_outlines_masks_and_crowds_as_they_are(tmp_path: Path, document: Any, masked: DetectionSet) -> None:
    report = convert({"train": masked}, "coco", tmp_path / "out")
    assert (report.left_out, report.boxes_only, report.masks_lost) == (0, 0, 0)
    written = json.loads((tmp_path / "out" / "annotations" / "train.json").read_text())
    assert sorted(written["annotations"], key=lambda entry: entry["id"]) == document["annotations"]


def test_every_annotation_of_coco_survives(data_folder: Path, tmp_path: Path) -> None:
    root = data_folder / "coco-mini"
    file = root / "annotations" / "instances_val2017.json"
    convert({"val": read_coco(file, root / "val2017")}, "coco", tmp_path / "coco")
    before, after = (
        {entry["id"]: entry for entry in json.loads(path.read_text())["annotations"]}
        for path in (file, tmp_path / "coco" / "annotations" / "val.json")
    )
    assert sum(entry["iscrowd"] for entry in before.values()) > 0
    assert after.keys() == before.keys()
    for number, entry in before.items():
        for key in ("image_id", "category_id", "iscrowd", "segmentation", "area"):
            assert after[number][key] == entry[key]
        assert after[number]["bbox"] == pytest.approx(entry["bbox"], abs=1e-9)


@pytest.mark.parametrize("format", ["yolo", "voc"])
def test_boxes_stay_where_masks_cannot(tmp_path: Path, masked: DetectionSet, format: Format) -> None:
    report = convert({"train": masked}, format, tmp_path / "out")
    # The crowd region is left out with its mask.
    assert (report.objects, report.left_out, report.boxes_only, report.masks_lost) == (2, 1, 1, 1)


def test_outlines_are_written_for_all_objects_or_for_none(
    tmp_path: Path, document: Any, write_coco: Callable[..., Any]
) -> None:
    dataset = read_coco(*write_coco(document))
    with pytest.raises(DataError, match="object 1 has no outline, and files with boxes and outlines are read in"):
        convert({"train": dataset}, "yolo", tmp_path / "yolo", outlines=True)
    assert not (tmp_path / "yolo").exists()
    with pytest.raises(ArgumentError, match="outlines are no choice for voc"):
        convert({"train": dataset}, "voc", tmp_path / "voc", outlines=True)


def test_no_outline_is_made_of_a_mask(tmp_path: Path, masked: DetectionSet) -> None:
    with pytest.raises(DataError, match="object 1 has a mask of run lengths and no outline, and files with boxes"):
        convert({"train": masked}, "yolo", tmp_path / "yolo", outlines=True)

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spdbuild.data.detection.check import check, check_splits, placeholder, without_bad_images
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.dataset import usable
from spdbuild.data.detection.findings import refuse_grave
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Table
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import DataError


def test_a_good_set_has_no_findings() -> None:
    report = check(TinyObjects.sample())
    assert report.sound
    assert list(report.lines())[1:] == ["nothing is wrong"]


def test_a_class_that_no_object_of_any_split_has_is_told(document: Any, write_coco: Callable[..., Any]) -> None:
    document["categories"] += [{"id": 0, "name": "pets"}]
    dataset = read_coco(*write_coco(document))
    assert placeholder(dataset) == "pets"
    reports = check_splits({"train": dataset.subset([0]), "val": dataset.subset([1])})
    told = [str(found) for found in reports["train"].findings if found.kind == "class without objects"]
    assert told == ["class 0: 'pets': no object has it"]
    assert "class without objects" not in reports["val"].counts
    assert reports["train"].sound


def test_classes_that_training_refuses_are_not_sound(document: Any, write_coco: Callable[..., Any]) -> None:
    dataset = read_coco(*write_coco(document))
    swapped = replace(dataset, names=dataset.names[::-1])
    reports = check_splits({"train": dataset.subset([0]), "val": swapped.subset([1]), "test": swapped.subset([0])})
    (told,) = (str(found) for found in reports["val"].findings if found.kind == "other classes")
    assert told == "classes: class 0 is 'person' in the images to train on and 'car' in those to evaluate on"
    assert (reports["train"].sound, reports["val"].sound, reports["test"].sound) == (True, False, True)
    fewer = replace(dataset, names=dataset.names[:1])
    reports = check_splits({"train": dataset.subset([0]), "val": fewer.subset([0])})
    (told,) = (str(found) for found in reports["val"].findings if found.kind == "other classes")
    assert told == "classes: class 1 is 'car' in the images to train on and missing in those to evaluate on"


def test_only_an_empty_category_0_is_a_placeholder(document: Any, write_coco: Callable[..., Any]) -> None:
    document["categories"] += [{"id": 9, "name": "pets"}]
    assert placeholder(read_coco(*write_coco(document))) is None


@pytest.fixture
def broken(document: Any, write_coco: Callable[..., tuple[Path, Path]]) -> DetectionSet:
    """One finding of each kind that the boxes and images of a file can show."""
    document["images"] += [
        {"id": number, "file_name": f"{number}.png", "width": 20, "height": 10} for number in (30, 31, 32)
    ]
    document["annotations"] += [
        {"id": 4, "image_id": 10, "category_id": 3, "bbox": [60, 40, 10, 5]},
        {"id": 5, "image_id": 10, "category_id": 3, "bbox": [1, 1, 0, 5]},
        {"id": 6, "image_id": 20, "category_id": 7, "bbox": [1, 2, 10, 20]},
        {"id": 7, "image_id": 10, "category_id": 3, "bbox": [50, 40, 14.4, 8]},
    ]
    annotations, images = write_coco(document)
    (images / "30.png").unlink()
    (images / "31.png").write_bytes((images / "31.png").read_bytes()[:60])
    Image.fromarray(np.zeros((12, 20, 3), np.uint8)).save(images / "32.png")
    return read_coco(annotations, images)


def test_every_kind_is_counted_and_named(broken: DetectionSet) -> None:
    report = check(broken)
    assert report.counts == {
        "missing image": 1,
        "corrupt image": 1,
        "other image size": 1,
        "zero area": 1,
        "box outside": 1,
        "duplicate row": 1,
    }
    assert not report.sound
    text = "\n".join(report.lines())
    assert "32.png: is 20x12 pixels, but its annotations are for 20x10" in text
    assert "a.png: object 4 (person, [60, 40, 70, 45]) reaches out of the image of 64x48 pixels" in text
    assert "a.png: object 5 (person, [1, 1, 1, 6]) has no area" in text
    assert "b.png: object 6 (car, [1, 2, 11, 22]) is there already, with the same class and box" in text


def test_images_of_two_splits_are_named(tmp_path: Path) -> None:
    names = {"train": ("a.png", "b.png", "empty.png"), "val": ("link.png", "copy.png", "c.png", "nothing.png")}
    (tmp_path / "images").mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        # Files of one length, of which only their contents tell.
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "images" / name, compress_level=0)
    shutil.copyfile(tmp_path / "images" / "b.png", tmp_path / "images" / "copy.png")
    (tmp_path / "images" / "link.png").symlink_to("a.png")
    for name in ("empty.png", "nothing.png"):
        (tmp_path / "images" / name).touch()
    splits = {}
    for split, own in names.items():
        table = Table(["thing"], [1])
        table.images += [ImageRecord(id, name, tmp_path / "images" / name, 8, 8) for id, name in enumerate(own)]
        splits[split] = table.build()
    reports = check_splits(splits)
    shared = [finding for finding in reports["val"].findings if finding.kind == "image in two splits"]
    images = tmp_path / "images"
    assert [str(finding) for finding in shared] == [
        f"{images / 'copy.png'}: is the same image as {images / 'b.png'} of 'train'",
        f"{images / 'link.png'}: is the same image as {images / 'a.png'} of 'train'",
    ]
    assert set(reports["train"].counts) == {"corrupt image", "class without objects"}
    refuse_grave(shared)


def test_16_bit_images_that_become_nearly_black_are_no_grave_finding(
    document: Any, write_coco: Callable[..., tuple[Path, Path]]
) -> None:
    annotations, images = write_coco(document)
    Image.fromarray(np.full((48, 64), 1900, np.uint16)).save(images / "a.png")
    report = check(read_coco(annotations, images))
    assert report.sound
    (finding,) = report.findings
    assert (finding.kind, finding.where) == ("few grey levels", str(images / "a.png"))
    assert "values from 1900 to 1900: 1 grey level is left" in finding.detail


def test_annotations_of_the_image_before_it_is_turned_are_told_and_refused(
    document: Any, write_coco: Callable[..., tuple[Path, Path]]
) -> None:
    annotations, images = write_coco(document)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(images / "a.png", exif=exif)
    dataset = read_coco(annotations, images)
    told = "is 48x64 pixels, but its annotations are for 64x48, before its EXIF orientation 6 turns it"
    (finding,) = check(dataset).findings
    assert told in finding.detail
    with pytest.raises(DataError, match=told):
        usable(dataset, "refuse")
    assert [image.name for image in usable(dataset, "skip").images] == ["b.png"]


def test_images_are_only_looked_at_when_asked(broken: DetectionSet) -> None:
    assert set(check(broken, decode=False).counts) == {"zero area", "box outside", "duplicate row"}


def test_long_lists_are_cut(broken: DetectionSet) -> None:
    many = broken.subset([3] * 8)
    assert "    and 6 more" in list(check(many, decode=False).lines(most=2))


def test_images_that_cannot_be_read_are_left_out(broken: DetectionSet) -> None:
    kept = without_bad_images(broken)
    assert [image.name for image in kept.images] == ["a.png", "b.png"]
    assert len(kept.findings) == 3
    assert usable(broken, "skip").images == kept.images


def test_missing_images_are_refused_before_training(broken: DetectionSet) -> None:
    with pytest.raises(DataError, match=r"1 of 5 images do not exist; the first: .*30\.png"):
        usable(broken, "refuse")


def test_what_repeats_or_has_no_area_is_not_trained_on(broken: DetectionSet) -> None:
    trained = broken.objects.ids[broken.trainable]
    assert sorted(trained.tolist()) == [1, 3, 4, 7]

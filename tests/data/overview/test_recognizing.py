from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from spdbuild.data.detection.convert import Format, convert
from spdbuild.data.detection.dataset import splits_of
from spdbuild.data.overview.recognizing import recognized
from spdbuild.data.sets.cifar import Cifar10, Cifar100
from spdbuild.data.sets.coco import Coco
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.tiny_imagenet import TinyImagenet
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.data.sets.voc import Voc
from spdbuild.data.sets.yolo import Yolo
from spdbuild.errors import DataError, UnsplitError


def test_a_folder_is_recognized_by_what_it_holds(class_folders: Path, tiny_imagenet: Path, tmp_path: Path) -> None:
    (tmp_path / "ten" / "cifar-10-batches-py").mkdir(parents=True)
    (tmp_path / "hundred").mkdir()
    (tmp_path / "hundred" / "cifar-100-python.tar.gz").touch()
    for root, cls in {
        class_folders: Folder,
        tiny_imagenet: TinyImagenet,
        tmp_path / "ten": Cifar10,
        tmp_path / "hundred": Cifar100,
    }.items():
        assert recognized(root) == (cls, {"root": str(root)})


@pytest.mark.parametrize("format", ["coco", "yolo", "voc"])
def test_what_a_conversion_wrote_is_read_back_by_its_folder(tmp_path: Path, format: Format) -> None:
    written = splits_of(TinyObjects(images=8, size=64, largest=12))
    convert(written, format, tmp_path / "set")
    cls, fields = recognized(tmp_path / "set")
    assert cls.name == format
    for split, dataset in written.items():
        read = cls(**fields).open(split)
        assert (len(read), len(read.objects)) == (len(dataset), len(dataset.objects))


@pytest.mark.parametrize(
    ("annotations", "images", "val"),
    [
        ("annotations/instances_{}2017.json", "{}2017", "val"),
        ("annotations/instances_{}2017.json", "images/{}2017", "val"),
        ("annotations/instances_{}.json", "{}", "val"),
        ("{}.json", "images/{}", "val"),
        ("{}.json", "images", "validation"),
        ("{}/_annotations.coco.json", "{}", "valid"),
        ("{}/labels.json", "{}/data", "validation"),
    ],
)
def test_the_usual_layouts_of_cocos_files_are_found(tmp_path: Path, annotations: str, images: str, val: str) -> None:
    for name in ("train", val):
        (tmp_path / images.format(name)).mkdir(parents=True, exist_ok=True)
        (tmp_path / annotations.format(name)).parent.mkdir(exist_ok=True)
        (tmp_path / annotations.format(name)).write_text(json.dumps({}))
    cls, fields = recognized(tmp_path)
    assert cls is Coco
    assert fields == {
        "root": str(tmp_path),
        "train_annotations": annotations.format("train"),
        "train_images": images.format("train"),
        "val_annotations": annotations.format(val),
        "val_images": images.format(val),
    }


def test_a_file_beside_a_folder_of_images_of_its_name_is_cocos(tmp_path: Path) -> None:
    for name in ("train", "val"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
        (tmp_path / f"{name}.json").write_text("{}")
    cls, fields = recognized(tmp_path)
    assert (cls, fields["val_annotations"], fields["val_images"]) == (Coco, "val.json", "val")


def test_a_folder_of_classes_may_hold_a_json_file(class_folders: Path) -> None:
    (class_folders / "train.json").write_text("{}")
    assert recognized(class_folders)[0] is Folder


@pytest.mark.parametrize("name", ["data.yaml", "dataset.yaml", "pets.yaml", "data.yml"])
def test_a_dataset_yaml_in_the_folder_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "pets").mkdir()
    file = tmp_path / "pets" / name
    file.write_text("train: images/train\nval: images/val\nnames: [cat]\n")
    assert recognized(tmp_path / "pets") == (Yolo, {"file": str(file)})


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        (("images/train/a.png", "labels/train/a.txt"), "YOLO's files are read from a dataset YAML: write "),
        (("annotations/all.json", "photos/a.png"), "COCO's files are read with name: coco, train_images: "),
        (("all.json", "photos/a.png"), "COCO's files are read with name: coco, train_images: "),
        (("train/a.png", "train/a.xml", "test/b.png", "test/b.xml"), "Pascal VOC's files are read from one folder: "),
    ],
    ids=["yolo", "coco", "coco_without_folder", "voc_by_split"],
)
def test_boxes_in_no_known_layout_are_told_from_classes(tmp_path: Path, files: tuple[str, ...], hint: str) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    cls, fields = recognized(tmp_path)
    with pytest.raises(DataError) as caught:
        cls(**fields).open("train")
    assert f"hint: {hint}" in str(caught.value)


def test_a_dataset_yaml_that_is_there_is_not_told_to_be_written(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat]\n")
    with pytest.raises(DataError) as caught:
        Folder(str(tmp_path)).open("train")
    assert str(caught.value) == (
        f"error: {tmp_path} has no training folder train/\n"
        f"      = hint: its boxes are read with data: {{name: yolo, file: {tmp_path}/data.yaml}}"
    )


OBJECT = "<object><name>dog</name><bndbox><xmin>1</xmin><ymin>5</ymin><xmax>6</xmax><ymax>8</ymax></bndbox></object>"


@pytest.mark.parametrize(
    ("annotations", "images"),
    [("", ""), ("images", "images"), ("xml", "images"), ("Annotations", "images"), ("xmls", "")],
)
def test_xml_files_beside_images_or_in_a_folder_of_any_name_are_vocs(
    tmp_path: Path, annotations: str, images: str
) -> None:
    for folder in (annotations, images):
        (tmp_path / folder).mkdir(exist_ok=True)
    for name in ("a", "b"):
        (tmp_path / annotations / f"{name}.xml").write_text(f"<annotation>{OBJECT}</annotation>")
        Image.new("RGB", (20, 10)).save(tmp_path / images / f"{name}.png")
    cls, fields = recognized(tmp_path)
    assert cls is Voc
    dataset = cls(**fields).open("train")
    assert [image.name for image in dataset.images] == ["a.png", "b.png"]
    assert (dataset.names, len(dataset.objects)) == (("dog",), 2)
    with pytest.raises(UnsplitError):
        cls(**fields).open("val")


def test_xml_files_beside_a_dataset_yaml_are_left_from_before(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("train: .\nval: .\nnames: [cat]\n")
    (tmp_path / "a.xml").write_text("<annotation></annotation>")
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    assert recognized(tmp_path)[0] is Yolo


def test_other_xml_files_are_nothing(class_folders: Path) -> None:
    (class_folders / "readme.xml").write_text("<readme></readme>")
    Image.new("RGB", (20, 10)).save(class_folders / "a.png")
    assert recognized(class_folders)[0] is Folder


@pytest.mark.parametrize("below", ["", "photos"])
def test_labelmes_files_are_not_read(tmp_path: Path, below: str) -> None:
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / below / "a.json").write_text(
        json.dumps({"version": "5", "flags": {}, "shapes": [], "imagePath": "a.png"})
    )
    cls, fields = recognized(tmp_path)
    with pytest.raises(DataError) as caught:
        cls(**fields).open("train")
    assert "hint: LabelMe's JSON files are not read: export COCO or YOLO from it" in str(caught.value)


def test_cvats_own_xml_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "images" / "a.png")
    (tmp_path / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        '  <image id="0" name="a.png" width="20" height="10"></image>\n</annotations>\n'
    )
    cls, fields = recognized(tmp_path)
    with pytest.raises(DataError) as caught:
        cls(**fields).open("train")
    assert "hint: CVAT's own XML is not read: export COCO 1.0 from it" in str(caught.value)


def test_the_dataset_yaml_for_cvats_yolo_is_told_and_works(tmp_path: Path) -> None:
    (tmp_path / "obj.names").write_text("crack\nhole: deep\n\n")
    for folder in ("obj_train_data", "obj_Validation_data"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (20, 10)).save(tmp_path / folder / "a.png")
        (tmp_path / folder / "a.txt").write_text("1 .5 .5 .2 .2\n")
    cls, fields = recognized(tmp_path)
    with pytest.raises(DataError) as caught:
        cls(**fields).open("train")
    entries = str(caught.value).partition(f"write {tmp_path}/data.yaml with ")[2].partition(", which is YAML")[0]
    (tmp_path / "data.yaml").write_text(entries)
    cls, fields = recognized(tmp_path)
    assert cls is Yolo
    for split in ("train", "val"):
        dataset = cls(**fields).open(split)
        assert (dataset.names, dataset.objects.classes.tolist()) == (("crack", "hole: deep"), [1])

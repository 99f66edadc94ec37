"""The rows of label files, and the objects and ids that they make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.data.detection.findings import refuse_grave
from spdbuild.data.detection.yolo_txt import COCO_CATEGORY_IDS, read_yolo
from spdbuild.errors import DataError


def test_boxes_and_outlines_become_pixels(yolo: Path) -> None:
    dataset = read_yolo(yolo, "train")
    assert dataset.names == ("person", "car")
    assert [image.name for image in dataset.images] == ["a.png", "b.png"]
    assert len(dataset.of_image(0)) == 0
    objects = dataset.of_image(1)
    assert objects.boxes_xyxy == pytest.approx(np.array(((37.5, 12.5, 62.5, 37.5), (10, 10, 50, 30))))
    assert objects.outlines[1][0] == pytest.approx(np.array(((10, 10), (50, 10), (50, 30))))
    assert [finding.kind for finding in dataset.findings] == ["missing label file"]


def test_labels_that_start_at_1_are_told_and_can_be_read(yolo: Path) -> None:
    rows = yolo.parent / "labels" / "train" / "b.txt"
    rows.write_text("1 0.5 0.5 0.2 0.2\n2 0.5 0.5 0.3 0.3\n2 0.5 0.5 0.1 0.1\n")
    findings = [f for f in read_yolo(yolo, "train").findings if f.kind != "missing label file"]
    unknown = "class 2 is unknown: the numbers go from 0 to 1"
    assert [(finding.kind, str(finding)) for finding in findings] == [
        ("unknown category", f"{rows}:2: {unknown}"),
        ("unknown category", f"{rows}:3: {unknown}"),
        (
            "labels from 1",
            f"{yolo}: no object is of class 0, and some are of class 2: these labels seem to start at 1",
        ),
    ]
    with pytest.raises(DataError) as caught:
        refuse_grave(findings)
    assert str(caught.value) == (
        "error: the annotations cannot be used as they are: 2 x unknown category; the first: "
        f"{rows}:2: {unknown}\n"
        "      = hint: these labels seem to start at 1: lower the first number of every row by 1, or put a name such "
        "as unused before the others under names and say ignore: [unused]"
    )
    yolo.write_text("train: images/train\nval: images/val\nnames: [unused, person, car]\n")
    dataset = read_yolo(yolo, "train", ignore=["unused"])
    assert (dataset.names, dataset.objects.classes.tolist()) == (("person", "car"), [0, 1, 1])
    refuse_grave(dataset.findings)


@pytest.mark.parametrize("numbers", [(0, 2), (1, 3), (-1, 2)], ids=["one of 0", "too high", "below 0"])
def test_a_number_that_is_wrong_by_itself_is_no_other_start(yolo: Path, numbers: tuple[int, int]) -> None:
    rows = yolo.parent / "labels" / "train" / "b.txt"
    rows.write_text("".join(f"{number} 0.5 0.5 0.2 0.2\n" for number in numbers))
    findings = read_yolo(yolo, "train").findings
    assert "labels from 1" not in {finding.kind for finding in findings}
    with pytest.raises(DataError, match="and mend them or set on_error: skip"):
        refuse_grave(findings)


def test_the_one_number_of_a_single_class_is_told(yolo: Path) -> None:
    yolo.write_text("train: images/train\nval: images/val\nnames: [person]\n")
    rows = yolo.parent / "labels" / "train" / "b.txt"
    rows.write_text("1 0.5 0.5 0.2 0.2\n")
    assert str(read_yolo(yolo, "train").findings[1]) == f"{rows}:1: class 1 is unknown: the only number is 0"


def test_hidden_files_are_not_seen(yolo: Path) -> None:
    # As macOS leaves them on other people's disks.
    (yolo.parent / "images" / "train" / "._a.png").write_bytes(b"Mac OS X")
    (yolo.parent / "labels" / "train" / "._b.txt").write_bytes(b"Mac OS X")
    assert [finding.kind for finding in read_yolo(yolo, "train").findings] == ["missing label file"]


def test_jfif_is_an_image_and_what_is_not_read_is_told(yolo: Path) -> None:
    folder = yolo.parent / "images" / "train"
    Image.new("RGB", (100, 50)).save(folder / "c.jfif")
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    dataset = read_yolo(yolo, "train")
    assert [image.name for image in dataset.images] == ["a.png", "b.png", "c.jfif"]
    corrupt = [finding for finding in dataset.findings if finding.kind == "corrupt image"]
    assert [str(finding) for finding in corrupt] == [
        f"{folder / 'phone.heic'}: is in a format that is not read (convert it to JPEG or PNG)"
    ]


def test_numbers_that_all_images_are_named_by_are_their_ids(yolo: Path) -> None:
    folder = yolo.parent / "images" / "train"
    assert [image.id for image in read_yolo(yolo, "train").images] == [1, 2]
    (folder / "a.png").rename(folder / "000139.png")
    (folder / "b.png").rename(folder / "000007.png")
    assert [image.id for image in read_yolo(yolo, "train").images] == [7, 139]


@pytest.mark.parametrize("stems", [("202401011230450001", "202401011230450002"), ("1" * 22, "2" * 22), ("7", "007")])
def test_numbers_that_evaluation_files_cannot_hold_apart_are_no_ids(yolo: Path, stems: tuple[str, str]) -> None:
    for old, new in zip("ab", stems, strict=True):
        (yolo.parent / "images" / "train" / f"{old}.png").rename(yolo.parent / "images" / "train" / f"{new}.png")
    assert sorted(image.id for image in read_yolo(yolo, "train").images) == [1, 2]


@pytest.mark.parametrize("shape", ["[4, 2]", "[2, 3]", "[4, 3]"])
def test_keypoints_are_no_outline(yolo: Path, shape: str) -> None:
    yolo.write_text(yolo.read_text() + f"kpt_shape: {shape}\n")
    count, numbers = json.loads(shape)
    points = " ".join([".45", ".55", "2"][:numbers] * count)
    (yolo.parent / "labels" / "train" / "b.txt").write_text(f"0 .5 .5 .2 .2 {points}\n")
    dataset = read_yolo(yolo, "train")
    assert dataset.objects.boxes_xyxy == pytest.approx(np.array([(40, 20, 60, 30)]))
    assert dataset.objects.outlines[0] == ()
    assert dataset.objects.area == pytest.approx([200])
    told = [finding for finding in dataset.findings if finding.kind == "keypoints left out"]
    assert list(map(str, told)) == [f"{yolo}: has kpt_shape {shape}: boxes are read, and keypoints are left out"]
    refuse_grave(dataset.findings)


def test_every_row_has_all_keypoints_or_is_refused(yolo: Path) -> None:
    yolo.write_text(yolo.read_text() + "kpt_shape: [3, 2]\n")
    labels = yolo.parent / "labels" / "train" / "b.txt"
    labels.write_text("0 .5 .5 .2 .2\n0 .5 .5 .2 .2 .4 .4 .6 .6\n1 .5 .5 .2 .2 .4 .4 .6 .6 .5 .5\n")
    dataset = read_yolo(yolo, "train")
    assert len(dataset.objects) == 1
    malformed = [str(finding) for finding in dataset.findings if finding.kind == "malformed row"]
    wanted = "needs a class, 4 numbers and 3 keypoints of 2 (kpt_shape), 11 numbers in all; got"
    assert malformed == [f"{labels}:1: {wanted} 5 numbers", f"{labels}:2: {wanted} 9 numbers"]


@pytest.mark.parametrize("shape", ["17", "[17]", "[17, 4]", "[0, 2]", "[many, 2]"])
def test_a_shape_of_keypoints_that_cannot_be_is_refused(yolo: Path, shape: str) -> None:
    yolo.write_text(yolo.read_text() + f"kpt_shape: {shape}\n")
    with pytest.raises(DataError, match="data.yaml:12:12: error: 'kpt_shape' must be the number of keypoints and how"):
        read_yolo(yolo, "train")


def test_the_ids_of_classes_count_from_1_with_those_that_are_ignored(yolo: Path) -> None:
    assert read_yolo(yolo, "train").category_ids == (1, 2)
    assert read_yolo(yolo, "train", ignore=["person"]).category_ids == (2,)


def test_cocos_classes_have_cocos_ids(yolo: Path) -> None:
    assert len(COCO_CATEGORY_IDS) == 80
    assert [COCO_CATEGORY_IDS[i] for i in (0, 10, 11, 79)] == [1, 11, 13, 90]
    names = ["person", *(f"n{i}" for i in range(78)), "toothbrush"]
    yolo.write_text(f"train: images/train\nval: images/val\nnames: [{', '.join(names)}]\n")
    assert read_yolo(yolo, "train").category_ids == COCO_CATEGORY_IDS
    yolo.write_text(yolo.read_text().replace("toothbrush", "toothpaste"))
    assert read_yolo(yolo, "train").category_ids == tuple(range(1, 81))


def test_the_category_ids_are_those_of_an_annotation_file_of_coco(data_folder: Path) -> None:
    file = data_folder / "coco-mini" / "annotations" / "instances_val2017.json"
    if not file.is_file():
        pytest.skip("no coco-mini in the folder of data sets")
    document = json.loads(file.read_text())
    named = sorted((category["id"], category["name"]) for category in document["categories"])
    assert tuple(number for number, _ in named) == COCO_CATEGORY_IDS
    # What `names` of a dataset YAML must begin and end with to have these ids.
    assert (named[0][1], named[79][1]) == ("person", "toothbrush")
    assert {found["category_id"] for found in document["annotations"]} <= set(COCO_CATEGORY_IDS)


def test_the_area_of_an_outlined_object_is_that_of_its_outline(yolo: Path) -> None:
    (yolo.parent / "labels" / "train" / "b.txt").write_text(
        "1 0.1 0.2 0.5 0.2 0.5 0.6\n1 0.1 0.4 0.3 0.8 0.3 0.4\n0 0.5 0.5 0.25 0.5\n"
    )
    assert read_yolo(yolo, "train").objects.area == pytest.approx([40 * 20 / 2, 20 * 20 / 2, 25 * 25])


def test_bad_rows_are_found_with_file_and_line(yolo: Path) -> None:
    rows = yolo.parent / "labels" / "train" / "b.txt"
    rows.write_text("0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0.2\n0 a b c d\n5 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.2 0.2\n0 nan 0 1 1\n")
    dataset = read_yolo(yolo, "train")
    assert len(dataset.objects) == 1
    findings = [finding for finding in dataset.findings if finding.kind != "missing label file"]
    assert [(finding.kind, finding.where.rsplit(":", 1)[1]) for finding in findings] == [
        ("malformed row", "2"),
        ("malformed row", "3"),
        ("unknown category", "4"),
        ("duplicate row", "5"),
        ("malformed row", "6"),
    ]
    assert str(findings[2]) == f"{rows}:4: class 5 is unknown: the numbers go from 0 to 1"


def test_boxes_in_pixels_or_beside_their_image_keep_from_training(yolo: Path) -> None:
    rows = yolo.parent / "labels" / "train" / "b.txt"
    rows.write_text("0 60 50 30 20\n0 1.5 0.5 0.2 0.2\n0 1 0.5 0.5 0.5\n0 1 1 4 4 5 1\n")
    dataset = read_yolo(yolo, "train")
    assert dataset.objects.boxes_xyxy.tolist() == [[75, 12.5, 125, 37.5]]
    findings = [finding for finding in dataset.findings if finding.kind != "missing label file"]
    pixels = "these look like pixels"
    assert [(finding.kind, str(finding)) for finding in findings] == [
        ("malformed row", f"{rows}:1: the numbers must be shares of the image, 0 to 1, and not 60: {pixels}"),
        ("box off image", f"{rows}:2: person at [140, 20, 160, 30] lies beside its image of 100x50 pixels"),
        ("malformed row", f"{rows}:4: the numbers must be shares of the image, 0 to 1, and not 5: {pixels}"),
    ]
    with pytest.raises(DataError, match="2 x malformed row, 1 x box off image"):
        refuse_grave(dataset.findings)


def test_a_row_that_is_there_already_may_be_spelled_otherwise(yolo: Path) -> None:
    rows = yolo.parent / "labels" / "train" / "b.txt"
    rows.write_text("0 0.5 0.5 0.25 0.5\n0 0.50 .5 0.25 5e-1 \n0.0 0.5 0.5 0.25 0.5\n1 0.5 0.5 0.25 0.5\n")
    dataset = read_yolo(yolo, "train")
    assert dataset.objects.classes.tolist() == [0, 1]
    assert [str(finding) for finding in dataset.findings if finding.kind == "duplicate row"] == [
        f"{rows}:{line}: person at [37.5, 12.5, 62.5, 37.5] is there already, with the same class and box"
        for line in (2, 3)
    ]


def test_boxes_without_area_are_findings_and_not_evaluated(yolo: Path) -> None:
    rows = yolo.parent / "labels" / "train" / "b.txt"
    rows.write_text("0 0.5 0.5 0.2 0.2\n0 0.5 0.5 0 0.2\n1 0.5 0.5 -0.2 -0.4\n1 0.1 0.1 0.1 0.2 0.1 0.3\n")
    dataset = read_yolo(yolo, "train")
    assert dataset.objects.counted.tolist() == [True]
    findings = [finding for finding in dataset.findings if finding.kind == "zero area"]
    assert [str(finding) for finding in findings] == [
        f"{rows}:2: person at [50, 20, 50, 30] has no area",
        f"{rows}:3: car at [60, 35, 40, 15] has no area",
        f"{rows}:4: car at [10, 5, 10, 15] has no area",
    ]
    refuse_grave(findings)


def test_missing_and_corrupt_images_are_found(yolo: Path) -> None:
    (yolo.parent / "images" / "train" / "b.png").write_bytes(b"no picture")
    (yolo.parent / "train.txt").write_text("images/train/a.png\nimages/train/b.png\nimages/train/z.png\n")
    yolo.write_text("train: train.txt\nval: images/val\nnames: [person, car]\n")
    findings = read_yolo(yolo, "train").findings
    assert [finding.kind for finding in findings] == ["corrupt image", "missing image", "no label files"]

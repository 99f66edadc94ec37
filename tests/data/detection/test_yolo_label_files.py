"""Where the label files of images lie, and images and labels without their partner."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from spdbuild.data.detection.findings import refuse_grave
from spdbuild.data.detection.yolo_txt import label_file, read_yolo
from spdbuild.errors import DataError


def test_files_without_their_partner_are_told_and_keep_nobody_from_training(yolo: Path) -> None:
    labels = yolo.parent / "labels" / "train"
    (labels / "ghost.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (labels / "classes.txt").write_text("person\ncar\n")
    findings = read_yolo(yolo, "train").findings
    assert [(finding.kind, finding.where) for finding in findings] == [
        ("missing label file", str(yolo.parent / "images" / "train" / "a.png")),
        ("label file without image", str(labels / "ghost.txt")),
    ]
    refuse_grave(findings)


def test_texts_beside_images_are_no_label_files(yolo: Path) -> None:
    (yolo.parent / "images").rename(yolo.parent / "photos")
    (yolo.parent / "photos" / "train" / "readme.txt").write_text("from the park\n")
    yolo.write_text(yolo.read_text().replace("images/", "photos/"))
    assert {finding.kind for finding in read_yolo(yolo, "train").findings} == {"no label files"}


def test_images_of_which_none_has_a_label_file_are_told_where_it_would_be(yolo: Path) -> None:
    root = yolo.parent
    for moved, found in (
        (None, "no image has a label file"),
        ("labels/train", f"there is no folder {root}/labels/train"),
        ("labels", f"there is no folder {root}/labels"),
    ):
        if moved is None:
            (root / "labels" / "train" / "b.txt").unlink()
        else:
            (root / moved).rename(root / f"{moved}_elsewhere")
        findings = read_yolo(yolo, "train").findings
        assert [(finding.kind, str(finding)) for finding in findings] == [
            ("no label files", f"{root}: {found}; labels of images/train/a.png are looked for in labels/train/a.txt")
        ]
    with pytest.raises(DataError) as caught:
        refuse_grave(findings)
    assert str(caught.value) == (
        f"error: the annotations cannot be used as they are: 1 x no label files; the first: {findings[0]}\n"
        "      = hint: move the label files there, or rename their folder"
    )


def test_labels_beside_their_images_are_looked_for_there(yolo: Path) -> None:
    (yolo.parent / "images").rename(yolo.parent / "photos")
    yolo.write_text(yolo.read_text().replace("images/", "photos/"))
    assert [str(finding) for finding in read_yolo(yolo, "train").findings] == [
        f"{yolo.parent}/photos/train: no image has a label file; labels of a.png are looked for in a.txt"
    ]


def test_images_to_test_on_may_have_no_labels(yolo: Path) -> None:
    yolo.write_text(yolo.read_text().replace("test:\n", "test: images/val\n"))
    (yolo.parent / "labels" / "val" / "c.txt").unlink()
    assert [finding.kind for finding in read_yolo(yolo, "test").findings] == ["missing label file"]


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("d/images/train/1.jpg", "d/labels/train/1.txt"),
        ("images/x/images/1.jpg", "images/x/labels/1.txt"),
        ("d/train/1.jpg", "d/train/1.txt"),
    ],
)
def test_labels_lie_beside_the_last_folder_of_images(image: str, labels: str) -> None:
    assert label_file(Path(image)) == Path(labels)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("Images/train/1.jpg", "Labels/train"),
        ("Images/train/1.jpg", "labels/train"),
        ("IMAGES/1.jpg", "LABELS"),
        ("images/1.jpg", "Labels"),
        ("images/Images/1.jpg", "labels/Images"),
    ],
)
def test_capitals_do_not_hide_the_labels(tmp_path: Path, image: str, labels: str) -> None:
    (tmp_path / labels).mkdir(parents=True)
    assert label_file(tmp_path / image) == tmp_path / labels / "1.txt"


def test_labels_beside_images_are_found_below_a_folder_with_capitals(tmp_path: Path) -> None:
    assert label_file(tmp_path / "Images" / "park" / "1.jpg") == tmp_path / "Images" / "park" / "1.txt"


def test_images_that_share_a_label_file_are_told(yolo: Path) -> None:
    folder = yolo.parent / "images" / "train"
    Image.new("RGB", (100, 50)).save(folder / "b.jpg")
    Image.new("RGB", (100, 50)).save(folder / "a.PNG", "png")
    dataset = read_yolo(yolo, "train")
    shared = [str(finding) for finding in dataset.findings if finding.kind == "shared label file"]
    labels = yolo.parent / "labels" / "train" / "b.txt"
    assert shared == [f"{labels}: belongs to 2 images, which all have its boxes: b.jpg, b.png"]
    refuse_grave(dataset.findings)


def test_labels_that_are_a_device_are_a_finding(yolo: Path) -> None:
    labels = yolo.parent / "labels" / "train" / "a.txt"
    labels.symlink_to("/dev/zero")
    (finding,) = read_yolo(yolo, "train").findings
    assert (finding.kind, finding.where) == ("malformed row", str(labels))
    assert finding.detail.endswith("it is no file but a pipe or a device")

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.data.detection.findings import refuse_grave
from spdbuild.data.detection.yolo_txt import COCO_CATEGORY_IDS, label_file, read_yolo
from spdbuild.data.detection.yolo_yaml import read_dataset_yaml
from spdbuild.errors import DataError, MissingSplitError, SpdbuildError


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


def test_boxes_and_outlines_become_pixels(yolo: Path) -> None:
    dataset = read_yolo(yolo, "train")
    assert dataset.names == ("person", "car")
    assert [image.name for image in dataset.images] == ["a.png", "b.png"]
    assert len(dataset.of_image(0)) == 0
    objects = dataset.of_image(1)
    assert objects.boxes_xyxy == pytest.approx(np.array(((37.5, 12.5, 62.5, 37.5), (10, 10, 50, 30))))
    assert objects.outlines[1][0] == pytest.approx(np.array(((10, 10), (50, 10), (50, 30))))
    assert [finding.kind for finding in dataset.findings] == ["missing label file"]


@pytest.mark.parametrize(
    "names", ["names: [person, car]", "nc: 2\nnames: ['person', 'car']", "names: {0: person, 1: car}"]
)
@pytest.mark.parametrize("train", ["images/train", "[images/train]", "train.txt", "images/train/b.png"])
def test_the_usual_spellings_of_the_yaml_are_read(yolo: Path, names: str, train: str) -> None:
    (yolo.parent / "train.txt").write_text("./images/train/b.png\n\n")
    yaml = yolo.parent / "other.yaml"
    yaml.write_text(f"train: {train}\nval: images/val\n{names}\n")
    dataset = read_yolo(yaml, "train")
    assert dataset.names == ("person", "car")
    assert dataset.images[-1].name == "b.png"
    assert len(dataset.objects) == 2


@pytest.mark.parametrize("key", ["valid", "validation"])
def test_other_words_for_the_split_to_evaluate_on_are_known(yolo: Path, key: str) -> None:
    yolo.write_text(yolo.read_text().replace("val: images/val", f"{key}: images/val"))
    assert [image.name for image in read_yolo(yolo, "val").images] == ["c.png"]


def test_a_pattern_is_no_split(yolo: Path) -> None:
    yolo.write_text(yolo.read_text().replace("val: images/val", "val: images/val/*.png"))
    with pytest.raises(DataError, match=r"'images/val/\*\.png' is a pattern, and a split is a folder") as caught:
        read_yolo(yolo, "val")
    assert "name the folder: all images below it are taken" in str(caught.value)


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


@pytest.mark.parametrize(
    ("train", "hint"),
    [
        ("train", "did you mean images/train? "),
        ("./{root}/images/train", "did you mean images/train? "),
        ("elsewhere", ""),
    ],
)
def test_a_path_that_leads_nowhere_is_told_where_paths_start(
    yolo: Path, train: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(yolo.parent.name)
    monkeypatch.chdir(yolo.parent.parent)
    given = train.format(root=root)
    yolo.write_text(f"train: {given}\nval: images/val\nnames: [person, car]\n")
    with pytest.raises(MissingSplitError) as caught:
        read_yolo(root / "data.yaml", "train")
    (problem,) = caught.value.problems
    assert problem.message == f"'{root / given}' does not exist"
    assert problem.hint == f"{hint}paths start at the YAML's own folder, or at the folder under `path`: here at {root}"


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


def test_a_byte_order_mark_is_no_part_of_the_first_line(yolo: Path) -> None:
    for file in (yolo, yolo.parent / "labels" / "train" / "b.txt"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    dataset = read_yolo(yolo, "train")
    assert len(dataset.objects) == 2
    assert [finding.kind for finding in dataset.findings] == ["missing label file"]


def test_paths_that_leave_the_folder_of_the_yaml_may_mean_it(yolo: Path) -> None:
    # As Roboflow writes them.
    yolo.write_text("train: ../images/train\nval: ../images/val\nnames: [person, car]\n")
    assert len(read_yolo(yolo, "train")) == 2


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


@pytest.mark.parametrize("from_list", [False, True], ids=["in the YAML", "in a list"])
def test_an_image_given_relatively_and_absolutely_is_one(
    yolo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, from_list: bool
) -> None:
    other = tmp_path / "other" / "images"
    other.mkdir(parents=True)
    (yolo.parent / "images" / "train" / "a.png").rename(other / "a.png")
    monkeypatch.chdir(yolo.parent)
    if from_list:
        lines = ("images/train/b.png", "./images/../images/train/b.png", yolo.parent / "images/train/b.png")
        Path("train.txt").write_text("".join(f"{line}\n" for line in (*lines, other / "a.png")))
        Path("data.yaml").write_text("path: .\ntrain: train.txt\nnames: [person, car]\n")
    else:
        folders = f"[images/train, {yolo.parent / 'images'}, {other}, images/../images/train]"
        Path("data.yaml").write_text(f"path: .\ntrain: {folders}\nnames: [person, car]\n")
    names = [image.name for image in read_yolo(Path("data.yaml"), "train").images]
    assert names == ["images/train/b.png", *([] if from_list else ["images/val/c.png"]), "other/images/a.png"]


def test_a_folder_above_a_link_stays_where_it_is(yolo: Path, tmp_path: Path) -> None:
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "images").rename(tmp_path / "far" / "images")
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    yolo.write_text("train: link/../images/train\nnames: [person, car]\n")
    assert len(read_yolo(yolo, "train")) == 2


def test_windows_separators_are_understood(yolo: Path) -> None:
    (yolo.parent / "val.txt").write_text(".\\images\\val\\c.png\n")
    yolo.write_text("path: .\\images\\..\ntrain: images\\train\nval: val.txt\nnames: [person, car]\n")
    assert [image.name for image in read_yolo(yolo, "train").images] == ["a.png", "b.png"]
    assert [image.name for image in read_yolo(yolo, "val").images] == ["c.png"]


def test_a_backslash_in_a_name_stays(yolo: Path) -> None:
    folder = yolo.parent / "images" / "train"
    (folder / "b.png").rename(folder / "b\\c.png")
    yolo.write_text("train: images/train/b\\c.png\nnames: [person, car]\n")
    assert [image.name for image in read_yolo(yolo, "train").images] == ["b\\c.png"]


def test_a_split_without_any_image_that_can_be_used_says_why(yolo: Path) -> None:
    (yolo.parent / "val.txt").write_text("images/val/y.png\nimages/val/z.png\n")
    yolo.write_text("val: val.txt\nnames: [person, car]\n")
    missing = yolo.parent / "images" / "val" / "y.png"
    with pytest.raises(SpdbuildError) as caught:
        read_yolo(yolo, "val")
    wanted = f"error: none of the 2 images of 'val' can be used; the first: {missing}: does not exist"
    assert str(caught.value) == wanted


def test_missing_and_corrupt_images_are_found(yolo: Path) -> None:
    (yolo.parent / "images" / "train" / "b.png").write_bytes(b"no picture")
    (yolo.parent / "train.txt").write_text("images/train/a.png\nimages/train/b.png\nimages/train/z.png\n")
    yolo.write_text("train: train.txt\nval: images/val\nnames: [person, car]\n")
    findings = read_yolo(yolo, "train").findings
    assert [finding.kind for finding in findings] == ["corrupt image", "missing image", "no label files"]


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("- 1", "train", "a dataset YAML is a mapping"),
        ("train: images/train", "train", "has no 'names'"),
        ("train: images/train\nnames: 3", "train", "'names' must be a list of names"),
        ("train: images/train\nnames: {1: a, 2: b}", "train", "the keys of 'names' must be 0 to 1, got 2"),
        ("train: images/train\nnc: 3\nnames: [a, b]", "train", "data.yaml:2:5: error: nc is 3, but there are 2 names"),
        ("train: images/trian\nnames: [a]", "train", r"data.yaml:1:8: error: .*trian' does not exist"),
        ("path: nowhere\ntrain: x\nnames: [a]", "train", "data.yaml:1:7: error: the folder 'nowhere' of the data set"),
        ("train: images/train\nnames: [a]", "val", "has no split 'val'"),
        ("train: labels\nnames: [a]", "train", "the split 'train' of .* has no images"),
        ("train: 3\nnames: [a]", "train", "a split is a folder, a text file of paths, or a list"),
    ],
)
def test_wrong_yamls_are_refused_with_their_place(yolo: Path, text: str, split: str, message: str) -> None:
    yolo.write_text(text)
    with pytest.raises(SpdbuildError) as caught:
        read_yolo(yolo, split)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_the_paths_of_a_yaml_start_from_its_path(yolo: Path) -> None:
    yaml = yolo.parent / "sub.yaml"
    yaml.write_text("path: images\ntrain: train\nval: val\nnames: [a]\n")
    assert read_dataset_yaml(yaml).paths("val") == (yolo.parent / "images" / "val",)


def test_labels_that_are_a_device_are_a_finding(yolo: Path) -> None:
    labels = yolo.parent / "labels" / "train" / "a.txt"
    labels.symlink_to("/dev/zero")
    (finding,) = read_yolo(yolo, "train").findings
    assert (finding.kind, finding.where) == ("malformed row", str(labels))
    assert finding.detail.endswith("it is no file but a pipe or a device")

"""CSV files with the class of each image: what is read from them, and what is said of those that are wrong."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from spdbuild.data.dataset import Split
from spdbuild.data.division.folds import listed_division
from spdbuild.data.overview.checking import check
from spdbuild.data.overview.recognizing import recognized
from spdbuild.data.overview.statistics import statistics
from spdbuild.data.sets.csv import Csv
from spdbuild.data.sets.folder import Folder
from spdbuild.errors import ArgumentError, DataError, MissingSplitError

from ..listed import files

#: The rows of a file of two classes below their header: six images, one of each number.
ROWS = tuple(f"{number},{'dog' if number % 2 else 'cat'}" for number in range(6))

Write = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images 0.png to 5.png, and no CSV file."""
    (tmp_path / "pets" / "images").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "pets" / "images" / f"{number}.png")
    return tmp_path / "pets"


@pytest.fixture
def write(root: Path) -> Write:
    """`write(*rows, header="image,label", name="train.csv")` writes a file and returns the root."""

    def written(*rows: str, header: str = "image,label", name: str = "train.csv") -> Path:
        (root / name).write_text("\n".join([header, *rows]) + "\n")
        return root

    return written


def error_of(root: Path, split: Split = "train", **fields: Any) -> str:
    """The text of the error of a split, with the temporary folder left out."""
    with pytest.raises(DataError) as caught:
        Csv(str(root), **fields).open(split)
    return str(caught.value).replace(f"{root.parent}/", "")


def labelled(root: Path, split: Split = "train", **fields: Any) -> Mapping[str, str]:
    """The class of each file of a split."""
    listing = Csv(str(root), **fields).listing(split)
    return {
        listing.name(path): listing.classes[label] for path, label in zip(listing.paths, listing.labels, strict=True)
    }


def test_the_same_images_in_class_folders_are_the_same_split(class_folders: Path) -> None:
    """A nested folder, and names that text and paths order differently, in rows that are in no order."""
    for name in ("a-b.png", "a.png", "a/b.png", "a/c.png"):
        (class_folders / "train" / "cat" / name).parent.mkdir(exist_ok=True)
        shutil.copy(class_folders / "train" / "dog" / "train-dog-0.png", class_folders / "train" / "cat" / name)
    for split in ("train", "test"):
        paths = sorted((class_folders / split).rglob("*.png"))
        random.Random(0).shuffle(paths)
        names = [path.relative_to(class_folders / split).as_posix() for path in paths]
        rows = "".join(f"{name},{name.partition('/')[0]}\n" for name in names)
        (class_folders / f"{split}.csv").write_text(f"image,label\n{rows}")
    for division in ({}, {"val_share": 0.4}, {"folds": 2, "fold": 1}, {"folds": 3, "together": "[a-z0-9]+.png"}):
        ours, theirs = Csv(str(class_folders), **division), Folder(str(class_folders), **division)
        assert ours.splits == theirs.splits
        for split in ours.splits:
            assert ours.listing(split) == theirs.listing(split)
            assert ours.open(split).digest == theirs.open(split).digest
            assert torch.equal(ours.open(split).images, theirs.open(split).images)


@pytest.mark.parametrize(
    ("header", "row", "fields"),
    [
        ("image,label", "{0}.png,{1}", {}),
        ("id,breed", "{0},{1}", {}),
        ("Image,Id", "{0}.png,{1}", {}),
        ("Class ID;File Name", "{1};images/{0}.png", {}),
        ("\tfile\tage\ttarget", "{0}\t{0}.png\t40\t{1}", {}),
        ("path,label,class", "./images//{0}.png,x,{1}", {"label_column": "class"}),
        ("path,label", "images\\{0}.png,{1}", {}),
        ("scan,group,kind", "{0},a,{1}", {"image_column": "scan", "label_column": "kind", "suffix": ".png"}),
    ],
)
def test_usual_files_say_which_image_has_which_class(
    root: Path, write: Write, header: str, row: str, fields: dict[str, str]
) -> None:
    write(*(row.format(*line.split(",")) for line in ROWS), header=header)
    found = {Path(name).stem: label for name, label in labelled(root, **fields).items()}
    assert found == dict(line.split(",") for line in ROWS)


def test_a_suffix_may_be_more_than_the_format(root: Path, write: Write) -> None:
    for path in list((root / "images").iterdir()):
        shutil.copy(path, path.with_name(f"{path.stem}_right.png"))
        path.rename(path.with_name(f"{path.stem}_left.png"))
    write("0,cat", "1_left.png,dog")
    assert "the image '0' is not in pets/images" in error_of(root)
    assert labelled(root, suffix="_left.png") == {"0_left.png": "cat", "1_left.png": "dog"}


def test_labels_that_are_whole_numbers_are_sorted_by_them(write: Write) -> None:
    assert Csv(str(write("0,10", "1,9", "2,-1"))).listing("train").classes == ("-1", "9", "10")
    assert Csv(str(write("0,10", "1,9", "2,a"))).listing("train").classes == ("10", "9", "a")


def test_classes_name_numbers_or_give_the_order(write: Write) -> None:
    root = write("0,1", "1,0")
    assert labelled(root, classes=("fox", "cat", "dog")) == {"0.png": "cat", "1.png": "fox"}
    assert Csv(str(root), classes=("fox", "cat", "dog")).listing("train").labels == (0, 1)
    assert labelled(root, classes=("1", "0")) == {"0.png": "1", "1.png": "0"}
    write("0,dog", "1,cat")
    assert Csv(str(root), classes=("dog", "cat")).listing("train").classes == ("dog", "cat")
    assert "'dog' is no class of the key `classes`" in error_of(root, classes=("dgo", "cat"))


@pytest.mark.parametrize(
    ("name", "images"), [("labels.csv", "train"), ("train.csv", "train_images"), ("train_labels.tsv", ".")]
)
def test_the_usual_layouts_of_competitions_are_recognized(root: Path, write: Write, name: str, images: str) -> None:
    for path in list((root / "images").iterdir()):
        (root / images).mkdir(exist_ok=True)
        path.rename(root / images / path.name)
    write(*ROWS, header="id,label", name=name)
    write("6", header="id", name="test.csv")
    write("6,cat", header="id,label", name="sample_submission.csv")
    cls, fields = recognized(root)
    assert (cls, fields) == (Csv, {"root": str(root)})
    data = Csv(str(root))
    assert data.splits == ("train", "test")
    assert len(data.listing("train").paths) == 6
    assert Csv(str(root), val_share=0.3).splits == ("train", "val")


def test_a_folder_in_doubt_is_not_recognized(root: Path, write: Write) -> None:
    write(*ROWS, header="one,two", name="a.csv")
    assert recognized(root)[0] is Folder
    write(*ROWS, name="a.csv")
    write(*ROWS, name="b.csv")
    assert recognized(root)[0] is Folder
    assert error_of(root) == (
        "error: pets has no file train.csv with the images to train on\n"
        "      = hint: it holds a.csv, b.csv; say which has the training images, such as train: a.csv"
    )
    assert len(labelled(root, train="a.csv")) == 6
    (root / "b.csv").unlink()
    assert recognized(root)[0] is Csv
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
    assert recognized(root)[0] is Folder


def test_class_folders_that_are_none_lead_to_the_csv_file(root: Path, write: Write) -> None:
    write("missing.png,cat")
    cls, fields = recognized(root)
    with pytest.raises(DataError) as caught:
        cls(**fields).open("train")
    assert f"hint: if the labels stand in train.csv, read them with name: csv, root: {root}" in str(caught.value)


def test_files_for_the_splits_are_told_by_their_names(write: Write) -> None:
    root = write(*ROWS[:4])
    data = Csv(str(root))
    with pytest.raises(MissingSplitError) as caught:
        data.listing("test")
    assert str(caught.value).replace(f"{root.parent}/", "") == (
        "error: pets has no test.csv or val.csv or valid.csv or validation.csv with labels\n"
        "      = hint: say which file it is, test: FILE, or hold out a part of the training images with val_share: 0.2"
    )
    write(*ROWS[4:5], name="valid.csv")
    assert data.splits == ("train", "val")
    with pytest.raises(MissingSplitError, match="valid.csv is the split 'val', which training evaluates on"):
        data.listing("test")
    write(*ROWS[5:], name="test.csv")
    assert data.splits == ("train", "val", "test")
    assert labelled(root, "val") == {"4.png": "cat"}
    assert labelled(root, "test") == {"5.png": "dog"}
    assert Csv(str(root)).listing("test").classes == ("cat", "dog")
    assert Csv(str(root), val="test.csv").splits == ("train", "val")
    assert labelled(root, "val", val="test.csv") == {"5.png": "dog"}
    assert Csv(str(root), val_share=0.3).splits == ("train", "val", "test")
    with pytest.raises(MissingSplitError, match=r"has no file tset.csv\n.*did you mean 'test.csv'"):
        Csv(str(root), test="tset.csv").listing("test")


def test_a_split_without_a_training_file_has_its_own_classes(write: Write) -> None:
    assert labelled(write(*ROWS, name="test.csv"), "test") == dict(
        line.replace(",", ".png,").split(",") for line in ROWS
    )


def test_images_of_one_value_stay_together(write: Write) -> None:
    patients = {f"{number}.png": "abcabc"[number] for number in range(6)}
    root = write(*(f"{line},{patients[line[0] + '.png']}" for line in ROWS), header="id,label,patient")
    for division in ({"folds": 3}, {"folds": 2}, {"val_share": 0.3}):
        data = Csv(str(root), group_column="patient", label_column="label", **division)
        train, val = files(data, "train"), files(data, "val")
        assert train
        assert val
        assert train | val == set(patients)
        assert not {patients[name] for name in train} & {patients[name] for name in val}
    told = listed_division(data, data.listing("train"), data.listing("val"))
    assert told == ("val: 33.3% of 6 training images, as val_share=0.3; 1 of 3 groups by group_column='patient'")
    # The same division as by names that say the same.
    for path in list((root / "images").iterdir()):
        (root / "images" / patients[path.name]).mkdir(exist_ok=True)
        path.rename(root / "images" / patients[path.name] / path.name)
    write(
        *(f"{patients[line[0] + '.png']}/{line},{patients[line[0] + '.png']}" for line in ROWS),
        header="id,label,patient",
    )
    by_column, by_name = (
        Csv(str(root), folds=3, fold=1, **key) for key in ({"group_column": "patient"}, {"together": "^[abc]"})
    )
    assert files(by_column, "val") == files(by_name, "val")


def test_groups_that_are_none_are_refused(write: Write) -> None:
    root = write(*(f"{line},x" for line in ROWS), header="id,label,patient")
    with pytest.raises(ArgumentError, match="the column 'patient' puts all 6 images into one group"):
        Csv(str(root), folds=2, group_column="patient").listing("train")
    with pytest.raises(ArgumentError, match="group_column='patient' keeps images in one part"):
        Csv(str(root), group_column="patient")
    with pytest.raises(ArgumentError, match="group_column and together both say what stays together"):
        Csv(str(root), folds=2, group_column="patient", together="a")
    with pytest.raises(DataError, match="has no column 'patent', as group_column says\n.*did you mean 'patient'"):
        Csv(str(root), folds=2, group_column="patent").listing("train")
    write(*(f"{line},{'x' if int(line[0]) < 3 else 'y'}" for line in ROWS), header="id,label,patient")
    with pytest.raises(ArgumentError) as caught:
        Csv(str(root), folds=5, group_column="patient").listing("train")
    assert str(caught.value) == (
        "error: 2 groups of images, by group_column='patient', cannot be divided into folds=5\n"
        "      = hint: take folds: 2"
    )
    write(*(f"{line},{line[2:]}" for line in ROWS), header="id,label,patient")
    assert error_of(root, folds=2, group_column="patient") == (
        "error: the class 'cat' has all of its 3 images in pets/images in one part with folds=2 and "
        "group_column='patient'\n      = hint: add images of other groups to it, or leave it out"
    )


FAULTS: dict[str, tuple[tuple[str, ...], str]] = {
    "no image": (
        ("0,cat", "1,dog", "7.png,cat", "8,dog"),
        "pets/train.csv:4:1: error: the image '7.png' is not in pets/images, and 1 other line like it\n"
        "    4 | 7.png,cat\n      | ^\n"
        "      = hint: mend the names, or leave out what is missing with on_error: skip",
    ),
    "no label": (
        ("0,cat", "1,dog", "2,"),
        "pets/train.csv:4:1: error: the column 'label' is empty\n"
        "    4 | 2,\n      | ^\n      = hint: fill it in, or remove the line",
    ),
    "no name": (
        ("0,cat", ",dog", "1,dog"),
        "pets/train.csv:3:1: error: the column 'image' is empty\n"
        "    3 | ,dog\n      | ^\n      = hint: fill it in, or remove the line",
    ),
    "two labels": (
        ("0,cat", "1,dog", "./0.png,dog"),
        "pets/train.csv:4:1: error: the image '0.png' is of the class 'dog', and in line 2 of 'cat'\n"
        "    4 | ./0.png,dog\n      | ^\n"
        "      = hint: a classifier learns one class for each image: remove one of them",
    ),
    "twice": (
        ("0,cat", "1,dog", "0.png,cat"),
        "pets/train.csv:4:1: error: the image '0.png' is in line 2 already\n"
        "    4 | 0.png,cat\n      | ^\n      = hint: remove one of the lines",
    ),
    "absolute": (
        ("0,cat", "1,dog", "/data/2.png,cat"),
        "pets/train.csv:4:1: error: the image '/data/2.png' is an absolute path\n"
        "    4 | /data/2.png,cat\n      | ^\n      = hint: write the path that leads there from pets/images",
    ),
    "one class": (
        ("0,cat", "1,cat"),
        "error: pets/train.csv has only one class, 'cat', in the column 'label'\n"
        "      = hint: a classifier needs at least two classes; label_column says which column has them",
    ),
}


@pytest.mark.parametrize(("rows", "text"), FAULTS.values(), ids=FAULTS)
def test_a_wrong_row_is_told_with_its_line(write: Write, rows: tuple[str, ...], text: str) -> None:
    assert error_of(write(*rows)) == text


def test_all_faults_are_told_at_once(write: Write) -> None:
    assert error_of(write("0,cat", "1,", "0,dog", "9,dog")).count(": error: ") == 3


def test_an_image_of_two_suffixes_is_not_guessed(root: Path, write: Write) -> None:
    shutil.copy(root / "images" / "1.png", root / "images" / "0.bmp")
    write(*ROWS)
    assert error_of(root).startswith("pets/train.csv:2:1: error: the image '0' may be 0.bmp or 0.png")
    assert labelled(root, suffix=".png")["0.png"] == "cat"


HEADERS = {
    "unknown": (
        "a,b,c",
        "error: pets/train.csv has no column of a usual name for the images\n"
        "      = hint: its columns are a, b, c; say which it is, such as image_column: a",
    ),
    "no label": (
        "image,b,c",
        "error: pets/train.csv has no column of a usual name for the labels\n"
        "      = hint: its columns are image, b, c; say which it is, such as label_column: b",
    ),
    "no header": (
        "9.png,cat,x",
        "error: pets/train.csv has no column of a usual name for the images\n"
        "      = hint: write a first line that names the columns, such as image,label",
    ),
    "twice": (
        "image,label,label",
        "error: pets/train.csv has 2 columns 'label'\n      = hint: rename one of them",
    ),
}


@pytest.mark.parametrize(("header", "text"), HEADERS.values(), ids=HEADERS)
def test_columns_that_cannot_be_told_are_listed(write: Write, header: str, text: str) -> None:
    assert error_of(write(*(f"{line},x" for line in ROWS), header=header)) == text


def test_a_column_that_is_named_must_be_there(write: Write) -> None:
    root = write(*ROWS)
    assert error_of(root, label_column="lable") == (
        "error: pets/train.csv has no column 'lable', as label_column says\n      = hint: did you mean 'label'?"
    )
    write(*ROWS, header="image,class", name="val.csv")
    assert error_of(root, "val", val="val.csv").startswith(
        "error: pets/val.csv has no column 'label', as train.csv has"
    )


def test_a_class_that_is_not_trained_is_refused(write: Write) -> None:
    root = write(*ROWS[:4])
    write("4,cat", "5,dgo", name="val.csv")
    assert error_of(root, "val") == (
        "pets/val.csv:3:1: error: 'dgo' is no class of pets/train.csv\n"
        "    3 | 5,dgo\n      | ^\n      = hint: did you mean 'dog'?"
    )


def test_hints_at_images_that_are_elsewhere_work(root: Path, write: Write) -> None:
    write(*ROWS)
    (root / "images").rename(root / "photos")
    assert error_of(root).endswith("hint: they are there with images: photos")
    assert len(labelled(root, images="photos")) == 6
    assert error_of(root, images="photos", suffix=".jpg").endswith("hint: they are there without suffix: .jpg")
    shutil.rmtree(root / "photos")
    assert "say which folder it is, images: FOLDER" in error_of(root)


def test_what_is_missing_or_cannot_be_read_is_skipped_and_counted(root: Path, write: Write) -> None:
    (root / "images" / "1.png").write_bytes(b"")
    write(*ROWS, "9.png,cat")
    assert "1 of 6 files in pets/images cannot be used: 1.png is empty" in error_of(write(*ROWS))
    write(*ROWS, "9.png,cat")
    data = Csv(str(root), on_error="skip", val_share=0.3)
    images = [data.open(split) for split in data.splits]
    assert sorted(file.path.name for part in images for file in part.skipped) == ["1.png", "9.png"]
    assert sum(map(len, images)) == 5
    found = check(data)
    assert sorted(name for split in found.splits.values() for name in split.bad) == ["1.png", "9.png"]
    assert sum(split.images for split in statistics(data).values()) == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ("cat", "cat")}, "classes must be two or more different names, got cat, cat"),
        ({"classes": ("cat",)}, "classes must be two or more different names, got cat"),
        ({"image_column": "a", "label_column": "a"}, "the images and their labels are in the same column, 'a'"),
        ({"val": "val.csv", "folds": 2}, "folds and val both say what the validation split is"),
        ({"fold": 1}, "fold=1 says which of the folds is evaluated on, and there are none"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Csv("somewhere", **fields)

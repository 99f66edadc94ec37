"""The folds of a cross-validation: of class folders, and of annotated images."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spdbuild.data.dataset import DATASETS
from spdbuild.data.division.folds import fold_numbers, part
from spdbuild.data.sets.coco import Coco
from spdbuild.data.sets.folder import Folder
from spdbuild.errors import ArgumentError, DataError

from ..folds import Folds
from ..listed import files

labelled = st.lists(st.integers(0, 3), min_size=2, max_size=60)


@given(labelled, st.integers(2, 8))
def test_folds_are_disjoint_cover_everything_and_are_stratified(labels: list[int], folds: int) -> None:
    names = [f"{number}.png" for number in range(len(labels))]
    found = fold_numbers(names, labels, folds)
    assert set(found) <= set(range(folds))
    for chosen in [np.asarray(labels) == label for label in {*labels}] + [np.ones(len(labels), bool)]:
        counts = np.bincount(found[chosen], minlength=folds)
        assert counts.max() - counts.min() <= 1
    if len(labels) >= folds:
        held_out = [part(names, labels, Folds(folds, fold), held_out=True) for fold in range(folds)]
        trained = [part(names, labels, Folds(folds, fold), held_out=False) for fold in range(folds)]
        assert sorted(sum(held_out, [])) == list(range(len(labels)))
        assert all(
            sorted(own + others) == list(range(len(labels))) for own, others in zip(held_out, trained, strict=True)
        )


@given(labelled, st.integers(2, 8), st.permutations(range(60)))
def test_the_order_of_the_images_does_not_matter(labels: list[int], folds: int, order: list[int]) -> None:
    names = [f"{number}.png" for number in range(len(labels))]
    order = [place for place in order if place < len(labels)]
    again = fold_numbers([names[i] for i in order], [labels[i] for i in order], folds)
    assert again.tolist() == fold_numbers(names, labels, folds)[order].tolist()


def test_most_images_stay_in_their_fold_when_others_come() -> None:
    names = [f"{number}.png" for number in range(110)]
    before, after = (fold_numbers(names[:count], [0] * count, 5) for count in (100, 110))
    # A fifth would by chance.
    assert (before == after[:100]).mean() > 0.7


@pytest.fixture
def unsplit(class_folders_of: Callable[..., Path]) -> Path:
    return class_folders_of(cat=11, dog=4)


def test_class_folders_in_folds(unsplit: Path) -> None:
    every = [Folder(str(unsplit), train=".", folds=3, fold=fold) for fold in range(3)]
    assert every[0].splits == ("train", "val")
    held_out = [files(data, "val") for data in every]
    assert [len(names) for names in held_out] == [5, 5, 5]
    assert sorted(sum(name.startswith("dog/") for name in names) for names in held_out) == [1, 1, 2]
    assert len(set.union(*held_out)) == 15
    assert all(files(data, "train") == set.union(*held_out) - own for data, own in zip(every, held_out, strict=True))
    with pytest.raises(DataError, match="has no test folder"):
        every[0].open("test")


def test_a_validation_folder_beside_folds_is_held_out_for_the_end(unsplit: Path) -> None:
    unsplit.rename(unsplit.parent / "train")
    for name in ("cat", "dog"):
        (unsplit.parent / "val" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(unsplit.parent / "val" / name / "a.png")
    data = Folder(str(unsplit.parent), folds=3)
    assert data.splits == ("train", "val", "test")
    assert (len(data.open("train")), len(data.open("val")), len(data.open("test"))) == (10, 5, 2)


def test_a_class_of_one_image_cannot_be_in_every_training_set(unsplit: Path) -> None:
    for number in range(3):
        (unsplit / "dog" / f"{number}.png").unlink()
    with pytest.raises(DataError, match=r"the class 'dog' has one image in .*, and folds=3 needs two"):
        Folder(str(unsplit), train=".", folds=3).open("train")


def test_more_folds_than_images(unsplit: Path) -> None:
    with pytest.raises(DataError, match="15 images cannot be divided into folds=16") as raised:
        Folder(str(unsplit), train=".", folds=16).open("train")
    assert raised.value.problems[0].hint == "add images, or take folds: 15"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folds": 1}, "folds must be 0, for none, or at least 2, got 1"),
        ({"folds": 5, "fold": 5}, "fold must be between 0 and 4 with folds=5, got 5"),
        ({"fold": 2}, "fold=2 says which of the folds is evaluated on, and there are none"),
        ({"folds": 5, "val_share": 0.2}, "folds and val_share both say what the validation split is"),
        ({"folds": 5, "val": "val"}, "folds and val both say what the validation split is"),
    ],
)
def test_folds_that_make_no_sense(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Folder("root", **fields)  # type: ignore[arg-type]


@pytest.fixture
def coco(tmp_path: Path) -> Coco:
    """Seven images, each with an object of its own width."""
    (tmp_path / "images").mkdir()
    numbers = range(7)
    for number in numbers:
        Image.new("RGB", (16, 16)).save(tmp_path / "images" / f"{number}.png")
    document = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 16, "height": 16} for n in numbers],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [0, 0, n + 1, 2], "area": 2, "iscrowd": 0}
            for n in numbers
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    (tmp_path / "train.json").write_text(json.dumps(document))
    return Coco(str(tmp_path), train_images="images", train_annotations="train.json", val_annotations="", folds=3)


def test_annotated_images_in_folds_keep_their_objects(coco: Coco) -> None:
    every = [replace(coco, fold=fold) for fold in range(3)]
    held_out = [data.open("val") for data in every]
    assert sorted(map(len, held_out)) == [2, 2, 3]
    assert {image.name for one in held_out for image in one.images} == {f"{number}.png" for number in range(7)}
    for data, val in zip(every, held_out, strict=True):
        train = data.open("train")
        assert not {image.name for image in train.images} & {image.name for image in val.images}
        for own in (train, val):
            widths = [int(image.name.removesuffix(".png")) + 1 for image in own.images]
            assert own.objects.width.tolist() == widths
    with pytest.raises(DataError, match="does not exist"):
        coco.open("test")


def test_annotated_images_of_a_group_are_in_one_fold(coco: Coco) -> None:
    every = [replace(coco, fold=fold, together=r"(0|1|2|3)|[456](\.)") for fold in range(3)]
    held_out = [{image.name for image in data.open("val").images} for data in every]
    assert sorted(map(len, held_out)) == [2, 2, 3]
    assert {"4.png", "5.png", "6.png"} in held_out
    assert set.union(*held_out) == {f"{number}.png" for number in range(7)}
    with pytest.raises(ArgumentError, match="the pattern '5' matches nothing in the name of image '0.png'"):
        replace(coco, together="5").open("train")


def test_folds_of_groups_are_even_in_the_objects_of_a_class(coco: Coco) -> None:
    """Four groups of one image each have an object of a second class."""
    file = Path(coco.root) / "train.json"
    document = json.loads(file.read_text())
    document["categories"].append({"id": 2, "name": "bus"})
    for annotation in document["annotations"][:4]:
        annotation["category_id"] = 2
    file.write_text(json.dumps(document))
    for fold in range(2):
        val = replace(coco, folds=2, fold=fold, together=r"\d").open("val")
        assert np.bincount(val.objects.classes)[1] == 2


@pytest.mark.parametrize("name", ["coco", "voc", "yolo"])
def test_every_format_of_annotations_has_folds(name: str) -> None:
    with pytest.raises(ArgumentError, match="fold must be between 0 and 4 with folds=5, got 7"):
        DATASETS[name]("somewhere", folds=5, fold=7)
    with pytest.raises(
        ArgumentError, match="together='a' keeps images in one part, and they are not divided"
    ) as raised:
        DATASETS[name]("somewhere", together="a")
    assert raised.value.problems[0].hint == "say folds: 5, or leave it out"

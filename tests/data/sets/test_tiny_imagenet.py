from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from spdbuild.data.sets.tiny_imagenet import TinyImagenet
from spdbuild.errors import DataError, MissingSplitError


def test_a_label_is_a_line_of_wnids(tiny_imagenet: Path) -> None:
    data = TinyImagenet(str(tiny_imagenet))
    assert data.open("train").labels.tolist() == [0, 0, 1, 1]
    assert data.open("val").labels.tolist() == [1, 0]
    assert data.open("train").classes == ("n02 reel", "n01 goldfish")


def test_the_split_is_called_as_its_folder_and_there_is_no_other(tiny_imagenet: Path) -> None:
    data = TinyImagenet(str(tiny_imagenet))
    assert data.splits == ("train", "val")
    with pytest.raises(MissingSplitError) as caught:
        data.open("test")
    assert str(caught.value) == (
        f"error: {tiny_imagenet} has no split 'test': its test images have no labels\n      = hint: known: train, val"
    )


def test_classes_have_their_ids_where_words_are_missing(tiny_imagenet: Path) -> None:
    (tiny_imagenet / "words.txt").unlink()
    assert TinyImagenet(str(tiny_imagenet)).open("train").classes == ("n02", "n01")


def test_grey_images_become_rgb(tiny_imagenet: Path) -> None:
    grey = TinyImagenet(str(tiny_imagenet)).open("val").images[1]
    with Image.open(tiny_imagenet / "val" / "images" / "val_1.JPEG") as image:
        assert image.mode == "L"
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])


def annotate(text: str) -> Callable[[Path], object]:
    return lambda root: (root / "val" / "val_annotations.txt").write_text(text)


AGAIN = "\n      = hint: unpack the archive of Tiny ImageNet again"
CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no wnids.txt": (
        lambda root: (root / "wnids.txt").unlink(),
        "tiny-imagenet-200 has no wnids.txt, so it is not Tiny ImageNet as published\n"
        "      = hint: give the folder with wnids.txt",
    ),
    "empty wnids.txt": (
        lambda root: (root / "wnids.txt").write_text(""),
        f"tiny-imagenet-200/wnids.txt is empty{AGAIN}",
    ),
    "a class twice": (
        lambda root: (root / "wnids.txt").write_text("n01\nn02\nn01\n"),
        f"tiny-imagenet-200/wnids.txt names the class n01 twice{AGAIN}",
    ),
    "a class without images": (
        lambda root: shutil.rmtree(root / "train" / "n01"),
        "there is no folder tiny-imagenet-200/train/n01/images\n"
        "      = hint: the last folder on the way that exists is tiny-imagenet-200/train",
    ),
    "an empty class": (
        lambda root: [file.unlink() for file in (root / "train" / "n01" / "images").iterdir()],
        "tiny-imagenet-200/train/n01/images holds no images\n      = hint: unpack the archive again",
    ),
    "no annotations": (
        lambda root: (root / "val" / "val_annotations.txt").unlink(),
        "tiny-imagenet-200/val has no val_annotations.txt, which holds the labels of the validation images\n"
        "      = hint: unpack it again, or read images that were sorted into class folders with name: folder",
    ),
    "empty annotations": (annotate(""), f"tiny-imagenet-200/val/val_annotations.txt is empty{AGAIN}"),
    "a line without class": (
        annotate("val_0.JPEG n01\n"),
        "tiny-imagenet-200/val/val_annotations.txt:1: expected file name and class, separated by a tab, "
        "got 'val_0.JPEG n01'",
    ),
    "an unknown class": (
        annotate("val_0.JPEG\tn01\nval_1.JPEG\tn022\n"),
        "tiny-imagenet-200/val/val_annotations.txt:2: the class n022 is not in wnids.txt\n"
        "      = hint: did you mean 'n02'?",
    ),
    "an image twice": (
        annotate("val_0.JPEG\tn01\nval_1.JPEG\tn02\nval_0.JPEG\tn01\n"),
        f"tiny-imagenet-200/val/val_annotations.txt:3: line 1 has val_0.JPEG already{AGAIN}",
    ),
    "wnids.txt in Latin-1": (
        lambda root: (root / "wnids.txt").write_bytes(b"n02\nn01\n\xe9"),
        f"tiny-imagenet-200/wnids.txt:3: the file is not UTF-8 text: byte 0xe9{AGAIN}",
    ),
    "words.txt in Latin-1": (
        lambda root: (root / "words.txt").write_bytes(b"n01\tcaf\xe9\n"),
        f"tiny-imagenet-200/words.txt:1: the file is not UTF-8 text: byte 0xe9{AGAIN}",
    ),
    "annotations in Latin-1": (
        lambda root: (root / "val" / "val_annotations.txt").write_bytes(b"val_0.JPEG\tn01\n\xff"),
        f"tiny-imagenet-200/val/val_annotations.txt:2: the file is not UTF-8 text: byte 0xff{AGAIN}",
    ),
    "an image of another size": (
        lambda root: Image.new("RGB", (70, 64)).save(root / "train" / "n01" / "images" / "n01_1.JPEG"),
        "the images in tiny-imagenet-200 have different sizes: train/n01/images/n01_1.JPEG is 70x64 pixels, not 64x64\n"
        "      = hint: as published all have 64x64 pixels: unpack the archive of Tiny ImageNet again",
    ),
    "a broken link": (
        lambda root: (
            (root / "val" / "images" / "val_1.JPEG").unlink(),
            (root / "val" / "images" / "val_1.JPEG").symlink_to("gone"),
        ),
        "1 of 2 files in tiny-imagenet-200 cannot be used: val/images/val_1.JPEG does not exist\n"
        "      = hint: mend or remove them, or leave them out with on_error: skip",
    ),
    "a missing image": (
        lambda root: (root / "val" / "images" / "val_1.JPEG").unlink(),
        "tiny-imagenet-200/val/val_annotations.txt:2: there is no file tiny-imagenet-200/val/images/val_1.JPEG" + AGAIN,
    ),
}


def error_of(root: Path, tmp_path: Path) -> str:
    data = TinyImagenet(str(root))
    with pytest.raises(DataError) as caught:
        _ = data.open("train"), data.open("val")
    return str(caught.value).replace(str(tmp_path) + "/", "")


@pytest.mark.parametrize(("change", "text"), CASES.values(), ids=CASES)
def test_a_wrong_layout_is_explained(
    tiny_imagenet: Path, tmp_path: Path, change: Callable[[Path], object], text: str
) -> None:
    change(tiny_imagenet)
    assert error_of(tiny_imagenet, tmp_path) == f"error: {text}"


def test_the_folder_around_it_is_explained(tiny_imagenet: Path, tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    tiny_imagenet.rename(outer / "tiny-imagenet-200")
    assert error_of(outer, tmp_path) == (
        "error: outer has no wnids.txt, so it is not Tiny ImageNet as published\n"
        "      = hint: the data set is one folder further down: root: outer/tiny-imagenet-200"
    )


def test_a_sample_of_the_real_one(data_folder: Path) -> None:
    root = data_folder / "tiny-imagenet-200"
    data = TinyImagenet(str(root))
    train, val = data.open("train"), data.open("val")
    assert train.size == val.size == (64, 64)
    assert len(train.classes) == 200
    assert train.labels.bincount().tolist() == [15] * 200
    assert val.labels.bincount().tolist() == [6] * 200
    wnids = (root / "wnids.txt").read_text().split()
    assert [name.split()[0] for name in train.classes] == wnids
    path = data.listing("train").paths[100]
    assert path.parent.parent.name == wnids[train.labels[100]]

"""Every way in which a folder of classes is usually wrong, with the text that says so."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spdbuild.data import ArrayImages
from spdbuild.data.dataset import Split
from spdbuild.data.files.listing import image_files
from spdbuild.data.sets.folder import Folder
from spdbuild.errors import DataError, MissingSplitError


def error_of(root: Path, tmp_path: Path, **fields: str) -> str:
    """The text of the error that opening what training opens gives, with the temporary folder left out."""
    data = Folder(str(root), **fields)
    with pytest.raises(DataError) as caught:
        _ = data.open("train"), data.open(data.splits[1])
    return str(caught.value).replace(str(tmp_path) + "/", "")


def rename(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


@pytest.mark.parametrize(("name", "split"), [("test", "test"), ("val", "val"), ("valid", "val"), ("validation", "val")])
def test_one_folder_beside_that_to_train_on_names_the_split(class_folders: Path, name: str, split: Split) -> None:
    rename(class_folders / "test", name)
    data = Folder(str(class_folders))
    assert data.splits == ("train", split)
    assert len(data.open(split)) == 4


def test_images_that_choose_the_best_epoch_are_not_those_to_test_on(class_folders: Path, tmp_path: Path) -> None:
    rename(class_folders / "test", "valid")
    with pytest.raises(MissingSplitError) as caught:
        Folder(str(class_folders)).open("test")
    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        "error: pets has no test folder test/: valid/ is the split 'val', which training evaluates on\n"
        "      = hint: put images that training never sees into test/<class>/, or take the split val"
    )
    rename(class_folders / "valid", "test")
    with pytest.raises(MissingSplitError) as caught:
        Folder(str(class_folders)).open("val")
    assert str(caught.value).replace(f"{tmp_path}/", "") == (
        "error: pets has no validation folder val/ or valid/ or validation/\n"
        "      = hint: it holds test/, train/; move a part of each class to val/<class>/, or say val_share: 0.2"
    )


def test_a_split_has_the_digest_that_it_had_under_another_name(class_folders: Path) -> None:
    """So that runs of versions that called the images of val/ "test" can be resumed."""
    before = Folder(str(class_folders)).open("test").digest
    rename(class_folders / "test", "val")
    assert Folder(str(class_folders)).open("val").digest == before


def test_another_test_folder_can_be_named(class_folders: Path) -> None:
    rename(class_folders / "test", "winter")
    assert len(Folder(str(class_folders), test="winter").open("test")) == 4


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_a_validation_folder_beside_the_test_folder_is_a_split(class_folders: Path, name: str) -> None:
    shutil.copytree(class_folders / "test", class_folders / name)
    (class_folders / name / "cat" / "test-cat-0.png").unlink()
    data = Folder(str(class_folders))
    assert data.splits == ("train", "val", "test")
    assert (len(data.open("val")), len(data.open("test"))) == (3, 4)
    assert data.open("val").classes == data.open("test").classes


def test_a_folder_that_is_named_is_the_split_that_it_is_named_for(class_folders: Path) -> None:
    rename(class_folders / "test", "val")
    assert Folder(str(class_folders), test="val").splits == ("train", "test")
    assert len(Folder(str(class_folders), test="val").open("test")) == 4
    assert Folder(str(class_folders), test="autumn").splits == ("train", "val", "test")
    with pytest.raises(DataError, match="has no test folder autumn/"):
        Folder(str(class_folders), test="autumn").open("test")
    rename(class_folders / "val", "winter")
    assert Folder(str(class_folders), val="winter").splits == ("train", "val")
    assert len(Folder(str(class_folders), val="winter").open("val")) == 4
    rename(class_folders / "winter", "test")
    assert Folder(str(class_folders), val="test").splits == ("train", "val")


def test_a_class_that_is_not_tested_keeps_the_numbers_of_the_others(class_folders: Path) -> None:
    shutil.rmtree(class_folders / "test" / "cat")
    shutil.copytree(class_folders / "train" / "cat", class_folders / "train" / "fox")
    shutil.copytree(class_folders / "train" / "cat", class_folders / "test" / "fox")
    test = Folder(str(class_folders)).open("test")
    assert test.classes == ("cat", "dog", "fox")
    assert test.labels.tolist() == [1, 1, 2, 2, 2]


def test_a_folder_that_does_not_exist(class_folders: Path, tmp_path: Path) -> None:
    assert error_of(tmp_path / "pet", tmp_path) == ("error: there is no folder pet\n      = hint: did you mean 'pets'?")


def test_files_beside_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert error_of(tmp_path / "data" / "pets", tmp_path).endswith("hint: data is empty")
    for name in (".hidden", "pets.zip", "readme.txt"):
        (tmp_path / "data" / name).touch()
    found = error_of(tmp_path / "data" / "pets", tmp_path)
    assert found.endswith("hint: data holds no folder, but files such as pets.zip")


def test_a_folder_on_a_way_that_does_not_exist(class_folders: Path, tmp_path: Path) -> None:
    assert error_of(tmp_path / "pets" / "a" / "b", tmp_path) == (
        "error: there is no folder pets/a/b\n      = hint: the last folder on the way that exists is pets"
    )


def test_a_folder_of_the_root_that_does_not_exist_lists_no_file_system(tmp_path: Path) -> None:
    assert error_of(Path("/no such folder"), tmp_path) == (
        "error: there is no folder /no such folder\n      = hint: the last folder on the way that exists is /"
    )


def test_an_archive_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "pets.zip").touch()
    assert error_of(tmp_path / "pets.zip", tmp_path) == (
        "error: pets.zip is a file, not a folder\n      = hint: unpack it and give the folder"
    )


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "cat.png").touch()
    assert error_of(tmp_path / "cat.png", tmp_path) == (
        "error: cat.png is a file, not a folder\n      = hint: give the folder that holds the data set"
    )


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    assert error_of(tmp_path / "pets", tmp_path) == (
        "error: pets has no training folder train/\n"
        "      = hint: it should hold train/<class>/*.png and test/<class>/*.png"
    )


Change = Callable[[Path], object]
CASES: dict[str, tuple[Change, str]] = {
    "training folder misspelt": (
        lambda root: rename(root / "train", "trian"),
        "pets has no training folder train/\n      = hint: did you mean 'trian'?",
    ),
    "no test folder": (
        lambda root: shutil.rmtree(root / "test"),
        "pets has no test folder test/ or val/ or valid/ or validation/\n"
        "      = hint: it holds train/; move a part of each class to test/<class>/, or say val_share: 0.2",
    ),
    "an empty folder to evaluate on": (
        lambda root: (shutil.rmtree(root / "test"), (root / "val").mkdir()),
        "pets/val holds no class folders\n"
        "      = hint: put the images of each class into pets/val/<class>/, or remove the folder and say "
        "val_share: 0.2",
    ),
    "classes without splits": (
        lambda root: (rename(root / "train", "cat"), rename(root / "test", "dog")),
        "pets has no training folder train/\n"
        "      = hint: it holds cat/, dog/; if these are the classes, say train: . and val_share: 0.2",
    ),
    "images without class folders": (
        lambda root: (
            [file.rename(root / "train" / file.name) for file in root.glob("train/*/*.png")],
            [folder.rmdir() for folder in root.glob("train/*/")],
        ),
        "pets/train holds images such as train-cat-0.png but no class folders\n"
        "      = hint: put the images of each class into pets/train/<class>/",
    ),
    "nothing in the training folder": (
        lambda root: [shutil.rmtree(folder) for folder in root.glob("train/*/")],
        "pets/train holds no class folders\n      = hint: put the images of each class into pets/train/<class>/",
    ),
    "one class": (
        lambda root: shutil.rmtree(root / "train" / "cat"),
        "pets/train has only one class folder, dog/\n"
        "      = hint: a classifier needs at least two classes, a folder for each",
    ),
    "one class to test": (
        lambda root: shutil.rmtree(root / "test" / "cat"),
        "pets/test has only one class folder, dog/\n"
        "      = hint: a classifier needs at least two classes, a folder for each",
    ),
    "an empty class folder": (
        lambda root: [file.unlink() for file in root.glob("train/cat/*")],
        "the class folder pets/train/cat holds no images\n"
        "      = hint: remove the folder, or put images such as .png or .jpg into it",
    ),
    "a class only in the test folder": (
        lambda root: rename(root / "test" / "cat", "cats"),
        "pets/test has the class cats/, which is not in the training folder\n      = hint: did you mean 'cat'?",
    ),
    "Tiny ImageNet's val": (
        lambda root: (rename(root / "test", "val"), (root / "val" / "val_annotations.txt").touch()),
        "pets/val keeps its labels in val_annotations.txt and not in folders\n"
        "      = hint: this is Tiny ImageNet: read it with name: tiny_imagenet, root: pets",
    ),
    "CIFAR's archive": (
        lambda root: (shutil.rmtree(root / "train"), rename(root / "test", "cifar-10-batches-py")),
        "pets has no training folder train/\n"
        "      = hint: this is CIFAR's own archive: read it with name: cifar10 or cifar100",
    ),
}


@pytest.mark.parametrize(("change", "text"), CASES.values(), ids=CASES)
def test_a_wrong_layout_is_explained(class_folders: Path, tmp_path: Path, change: Change, text: str) -> None:
    change(class_folders)
    assert error_of(class_folders, tmp_path) == f"error: {text}"


def test_the_training_folder_in_place_of_the_folder_above(class_folders: Path, tmp_path: Path) -> None:
    assert error_of(class_folders / "train", tmp_path) == (
        "error: pets/train has no training folder train/\n      = hint: give the folder above it: root: pets"
    )


def test_a_folder_around_the_folder(class_folders: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    class_folders.rename(tmp_path / "outer" / "pets")
    assert error_of(tmp_path / "outer", tmp_path) == (
        "error: outer has no training folder train/\n"
        "      = hint: the data set is one folder further down: root: outer/pets"
    )


@pytest.mark.parametrize("target", ["..", ".", "../../..", "deeper/.."])
def test_a_folder_that_contains_itself_is_walked_once(class_folders: Path, target: str) -> None:
    (class_folders / "train" / "cat" / "deeper").mkdir()
    (class_folders / "train" / "cat" / "again").symlink_to(target)
    assert Folder(str(class_folders)).open("train").labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_two_folders_that_contain_each_other_are_walked_once(class_folders: Path) -> None:
    (class_folders / "train" / "cat" / "dogs").symlink_to("../dog")
    (class_folders / "train" / "dog" / "cats").symlink_to("../cat")
    assert Folder(str(class_folders)).open("train").labels.tolist() == [0] * 6 + [1] * 6


def test_a_link_to_the_training_folder_is_no_class(class_folders: Path) -> None:
    (class_folders / "train" / "all").symlink_to(".")
    assert Folder(str(class_folders)).open("train").classes == ("cat", "dog")


def test_images_behind_a_link_belong_to_the_class(class_folders: Path, write_image) -> None:
    write_image(class_folders.parent / "elsewhere" / "more.png")
    (class_folders / "train" / "dog" / "more").symlink_to(class_folders.parent / "elsewhere")
    assert Folder(str(class_folders)).open("train").labels.tolist() == [0, 0, 0, 1, 1, 1, 1]


@pytest.mark.slow
def test_cifar10_as_png_files(data_folder: Path) -> None:
    """The mean and deviation are those published for CIFAR-10."""
    train, test = (Folder(str(data_folder / "cifar10")).open(split) for split in ("train", "test"))
    assert isinstance(train, ArrayImages)
    assert train.labels.bincount().tolist() == [5000] * 10
    assert test.labels.bincount().tolist() == [1000] * 10
    assert train.classes[0] == "airplane"
    assert train.classes[9] == "truck"
    pixels = train.images.float() / 255
    assert pixels.mean((0, 2, 3)).tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4)
    assert pixels.std((0, 2, 3)).tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=1e-4)


def test_photographs_that_are_not_read_are_refused_or_counted(class_folders: Path, tmp_path: Path) -> None:
    for number in range(2):
        (class_folders / "train" / "cat" / f"phone{number}.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    reason = "is in a format that is not read (convert it to JPEG or PNG)"
    assert error_of(class_folders, tmp_path) == (
        "error: 2 of 8 files in pets/train cannot be used: "
        f"cat/phone0.heic {reason}; cat/phone1.heic {reason}\n"
        "      = hint: mend or remove them, or leave them out with on_error: skip"
    )
    images = Folder(str(class_folders), on_error="skip").open("train")
    assert (len(images), [file.path.name for file in images.skipped]) == (6, ["phone0.heic", "phone1.heic"])


def test_a_split_without_a_training_folder_has_its_own_classes(class_folders: Path) -> None:
    shutil.rmtree(class_folders / "train")
    assert Folder(str(class_folders)).open("test").classes == ("cat", "dog")


def test_folders_that_each_have_two_links_to_the_next_are_refused(tmp_path: Path, write_image) -> None:
    folders = [tmp_path / str(number) for number in range(40)]
    for folder, following in zip(folders, [*folders[1:], None], strict=True):
        folder.mkdir()
        for name in ("a", "b") if following else ():
            (folder / name).symlink_to(following)
    write_image(folders[-1] / "image.png")
    with pytest.raises(DataError, match=f"links lead to the folder {folders[-1]} more than 100 times"):
        list(image_files(folders[0]))
    assert len(list(image_files(folders[-5]))) == 2**4


def test_two_classes_may_be_links_to_one_folder(class_folders: Path) -> None:
    (class_folders / "train" / "lions").symlink_to(class_folders / "train" / "cat")
    images = Folder(str(class_folders)).listing("train")
    assert images.classes == ("cat", "dog", "lions")
    assert images.labels.count(0) == images.labels.count(2) > 0


@pytest.mark.parametrize("below", ["train/cat/inside", "train/cat", "train"])
def test_a_folder_that_may_not_be_read_is_named(
    class_folders: Path, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = class_folders / below
    closed.mkdir(exist_ok=True)
    # The permissions themselves mean nothing to root.
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != closed)
    with pytest.raises(DataError, match=f"the folder {closed} may not be read"):
        Folder(str(class_folders)).listing("train")

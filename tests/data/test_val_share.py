"""Shares of the training folder that are held out for validation."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.data.division.shares import share_part
from spdbuild.data.files.listing import Listing
from spdbuild.data.sets.folder import Folder
from spdbuild.errors import ArgumentError, DataError

from .listed import files


@pytest.fixture
def unsplit(class_folders_of: Callable[..., Path]) -> Path:
    return class_folders_of(cat=20, dog=3)


def test_a_share_of_each_class_is_held_out(unsplit: Path) -> None:
    data = Folder(str(unsplit), train=".", val_share=0.25)
    assert data.splits == ("train", "val")
    train, val = files(data, "train"), files(data, "val")
    assert (len(train), len(val)) == (17, 6)
    assert not train & val
    assert sum(name.startswith("dog/") for name in val) == 1
    assert data.open("val").labels.tolist() == [0] * 5 + [1]
    with pytest.raises(DataError, match="has no test folder"):
        data.open("test")


def test_a_share_of_each_class_is_that_of_its_definition() -> None:
    """As the classes have been split since there are shares: one after the other, each by the digests of its names."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(7), range(2, 9)))
    paths = tuple(Path("root", f"{label}", f"{number}.png") for number, label in enumerate(labels))
    whole = Listing(Path("root"), paths, tuple(labels.tolist()), tuple("abcdefg"))
    for share in (0.1, 0.3, 0.9):
        held_out = []
        for label in range(7):
            own = [path for path in paths if path.parent.name == str(label)]
            own.sort(key=lambda path: hashlib.blake2b(f"{path.parent.name}/{path.name}".encode()).digest())
            held_out += own[: min(max(round(share * len(own)), 1), len(own) - 1)]
        val, train = (share_part(whole, share, None, held_out=held) for held in (True, False))
        assert val.paths == tuple(sorted(held_out, key=paths.index))
        assert train.paths == tuple(path for path in paths if path not in held_out)
        for part in (val, train):
            assert part.labels == tuple(int(path.parent.name) for path in part.paths)


class Counted(tuple[int, ...]):
    """Labels that count how often all of them were looked at."""

    times = 0

    def __iter__(self) -> Iterator[int]:
        Counted.times += 1
        return super().__iter__()


def test_the_labels_are_not_looked_through_for_each_class() -> None:
    count = 1000
    paths = tuple(Path(f"root/{number // 2}/{number}.png") for number in range(2 * count))
    labels = Counted(number // 2 for number in range(2 * count))
    whole = Listing(Path("root"), paths, labels, tuple(map(str, range(count))))
    Counted.times = 0
    assert len(share_part(whole, 0.5, None, held_out=True).paths) == count
    assert 0 < Counted.times < 5


def test_most_files_stay_in_their_part_when_others_come(unsplit: Path) -> None:
    data = Folder(str(unsplit), train=".", val_share=0.25)
    before = files(data, "val")
    shutil.copytree(unsplit, unsplit.parent / "elsewhere")
    assert files(Folder(str(unsplit.parent / "elsewhere"), train=".", val_share=0.25), "val") == before
    for number in range(20, 24):
        Image.new("RGB", (8, 8)).save(unsplit / "cat" / f"{number}.png")
    assert len(before & files(data, "val")) >= 4


def test_a_test_folder_beside_a_held_out_share_is_a_third_split(class_folders: Path) -> None:
    data = Folder(str(class_folders), val_share=0.3)
    assert data.splits == ("train", "val", "test")
    assert len(data.open("test")) == 4


def test_a_share_needs_two_images_of_each_class(unsplit: Path) -> None:
    for number in (1, 2):
        (unsplit / "dog" / f"{number}.png").unlink()
    with pytest.raises(DataError, match=r"the class 'dog' has one image in .*, and val_share=0.5 needs two"):
        Folder(str(unsplit), train=".", val_share=0.5).open("train")


def test_a_share_and_a_folder_are_too_much() -> None:
    with pytest.raises(ArgumentError, match="val_share and val both say what the validation split is"):
        Folder("root", val="val", val_share=0.5)

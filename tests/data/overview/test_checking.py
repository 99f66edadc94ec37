from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.data import ImageSet, Split
from spdbuild.data.files.images import pixel_remarks
from spdbuild.data.files.listing import Listing
from spdbuild.data.files.reading import Reading, open_listing
from spdbuild.data.overview.checking import check
from spdbuild.data.sets.digits import Digits
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.tiny_imagenet import TinyImagenet
from spdbuild.errors import DataError, InputError


def test_a_sound_set_is_counted(class_folders: Path) -> None:
    report = check(Folder(str(class_folders)))
    assert report.sound
    assert report.splits["train"].classes == {"cat": 3, "dog": 3}
    assert report.splits["test"].classes == {"cat": 2, "dog": 2}
    assert report.splits["train"].sizes == {"8x8": 6}
    assert report.splits["train"].duplicates == report.leaks == ()


def test_every_kind_of_file_is_counted_and_every_bad_one_named(class_folders: Path, write_image) -> None:
    cats = class_folders / "train" / "cat"
    write_image(cats / "grey.png", mode="L")
    write_image(cats / "alpha.png", mode="RGBA")
    write_image(cats / "palette.png", mode="P", size=(9, 8))
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(cats / "deep.png")
    (cats / "empty.png").touch()
    (cats / "page.jpg").write_text("<html>")
    whole = write_image(cats / "cut.png", size=(64, 64)).read_bytes()
    (cats / "cut.png").write_bytes(whole[: len(whole) // 2])
    report = check(Folder(str(class_folders)))
    train = report.splits["train"]
    assert not report.sound
    assert train.modes == {"RGB": 6, "L": 1, "P": 1, "I;16": 1}
    assert train.sizes == {"8x8": 8, "9x8": 1}
    assert train.classes == {"cat": 10, "dog": 3}
    damage = train.bad.pop("cat/cut.png")
    assert damage.startswith("is damaged: ")
    assert train.bad == {
        "cat/alpha.png": "is partly transparent",
        "cat/empty.png": "is empty (0 bytes)",
        "cat/page.jpg": "is not an image that can be read",
    }


def test_16_bit_images_that_become_nearly_black_are_named(class_folders: Path) -> None:
    cats = class_folders / "train" / "cat"
    for name, most in (("10_bits", 1023), ("12_bits", 1900), ("14_bits", 16383), ("16_bits", 16384)):
        Image.fromarray(np.linspace(0, most, 64).reshape(8, 8).astype(np.uint16)).save(cats / f"{name}.png")
    report = check(Folder(str(class_folders)))
    what, remedy = "is a 16-bit image of values from", "grey levels are left; set levels to the range of the data, here"
    assert report.sound
    assert report.splits["train"].dark == {
        "cat/10_bits.png": f"{what} 0 to 1023: 4 {remedy} [0, 1023]",
        "cat/12_bits.png": f"{what} 0 to 1900: 8 {remedy} [0, 1900]",
        "cat/14_bits.png": f"{what} 0 to 16383: 64 {remedy} [0, 16383]",
    }
    images = Folder(str(class_folders)).open("train")
    told = f"of the images to train on, {cats / '10_bits.png'} {what} 0 to 1023: 4 {remedy} [0, 1023]"
    assert pixel_remarks(images.paths, None, "to train on") == [f"warning: {told}"]
    assert pixel_remarks(Folder(str(class_folders)).open("test").paths, None, "to evaluate on") == []


def test_equal_files_are_found_within_a_split_and_across(class_folders: Path) -> None:
    cat = class_folders / "train" / "cat" / "train-cat-0.png"
    shutil.copy(cat, class_folders / "train" / "dog" / "copy.png")
    shutil.copy(cat, class_folders / "test" / "cat" / "leak.png")
    report = check(Folder(str(class_folders)))
    assert report.splits["train"].duplicates == (("cat/train-cat-0.png", "dog/copy.png"),)
    assert report.splits["test"].duplicates == ()
    assert report.leaks == (("train/cat/train-cat-0.png", "train/dog/copy.png", "test/cat/leak.png"),)


def test_empty_files_are_bad_but_no_duplicates(class_folders: Path) -> None:
    for number in range(2):
        (class_folders / "train" / "cat" / f"empty{number}.png").touch()
    report = check(Folder(str(class_folders)))
    assert len(report.splits["train"].bad) == 2
    assert report.splits["train"].duplicates == ()


def test_bad_files_leak_nothing(class_folders: Path) -> None:
    for split in ("train", "test"):
        (class_folders / split / "cat" / "empty.png").touch()
    assert check(Folder(str(class_folders))).leaks == ()


def test_sizes_that_training_refuses_are_not_sound(class_folders: Path, write_image) -> None:
    write_image(class_folders / "train" / "dog" / "wide.png", size=(12, 8))
    report = check(Folder(str(class_folders)))
    assert not report.sound
    assert report.odd_sizes == ("the images in train have different sizes: dog/wide.png is 12x8 pixels, not 8x8",)
    assert report.advice == "give the side in pixels that all shall have, such as size: 64"
    resized = check(Folder(str(class_folders), size=8))
    assert (resized.sound, resized.odd_sizes, resized.advice) == (True, (), "")


def test_splits_of_different_sizes_are_not_sound(class_folders: Path, write_image) -> None:
    for file in (class_folders / "test").rglob("*.png"):
        write_image(file, size=(9, 8))
    report = check(Folder(str(class_folders)))
    assert report.odd_sizes == ("the images to train on have 8x8 pixels, and those to evaluate on 9x8",)
    assert check(Folder(str(class_folders), size=(16, 8))).sound


def test_images_have_the_size_that_they_have_upright(class_folders: Path) -> None:
    """As `Folder.open` sees them: a photograph taken sideways is stored as 6x9 and is one of 9x6 pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in class_folders.rglob("*.png"):
        Image.new("RGB", (9, 6)).save(file)
    Image.new("RGB", (6, 9)).save(class_folders / "train" / "cat" / "sideways.png", exif=exif)
    report = check(Folder(str(class_folders)))
    assert report.sound
    assert report.splits["train"].sizes == {"9x6": 7}
    assert Folder(str(class_folders)).open("train").size == (6, 9)


def test_images_in_memory_are_checked_too() -> None:
    report = check(Digits())
    assert sum(report.splits["test"].classes.values()) == report.splits["test"].images == 360
    assert report.splits["train"].sizes == {"8x8": 1437}


def test_photographs_that_are_not_read_are_counted_and_named(class_folders: Path) -> None:
    (class_folders / "test" / "dog" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    (class_folders / "test" / "dog" / "notes.txt").write_text("from the park\n")
    report = check(Folder(str(class_folders)))
    assert not report.sound
    assert report.splits["test"].bad == {
        "dog/phone.heic": "is in a format that is not read (convert it to JPEG or PNG)"
    }


class Plugin:
    """A data set of another package that reads files and does not say which."""

    name = "plugin"

    def __init__(self, root: Path, reading: Reading) -> None:
        self.root, self.way = root, reading

    def open(self, split: Split) -> ImageSet:
        return open_listing(Folder(str(self.root)).listing(split), self.way)


class ListingPlugin(Plugin):
    """One that says which files, but not how it reads them."""

    def listing(self, split: Split) -> Listing:
        return Folder(str(self.root)).listing(split)


class DescribedPlugin(ListingPlugin):
    """One that says both."""

    @property
    def reading(self) -> Reading:
        return self.way


@pytest.fixture
def mixed_sizes(class_folders: Path, write_image: Callable[..., Path]) -> Path:
    write_image(class_folders / "train" / "dog" / "wide.png", size=(12, 8))
    return class_folders


@pytest.mark.parametrize("cls", [Plugin, DescribedPlugin])
@pytest.mark.parametrize("memory_gib", [0.0, 1.0])
def test_a_plugin_that_reads_all_at_one_size_is_sound(mixed_sizes: Path, cls: type[Plugin], memory_gib: float) -> None:
    data = cls(mixed_sizes, Reading(size=8, memory_gib=memory_gib))
    report = check(data)
    assert (report.sound, report.odd_sizes) == (True, ())
    assert report.splits["train"].images == len(data.open("train")) == 7


def test_a_plugin_that_reads_files_while_training_may_need_one_size(mixed_sizes: Path) -> None:
    report = check(Plugin(mixed_sizes, Reading(memory_gib=0, odd_advice="ask the author")))
    wide = mixed_sizes / "train" / "dog" / "wide.png"
    assert report.odd_sizes == (f"the images in train have different sizes: {wide} is 12x8 pixels, not 8x8",)
    assert report.advice == "ask the author"


def test_a_plugin_that_lists_files_must_say_how_it_reads_them(mixed_sizes: Path) -> None:
    with pytest.raises(InputError) as caught:
        check(ListingPlugin(mixed_sizes, Reading(size=8)))
    assert str(caught.value) == (
        "error: the data set 'plugin' has `listing` and lacks `reading`, which says what sizes images may have\n"
        "      = hint: give it a property `reading`, a spdbuild.data.files.reading.Reading, which its `open` uses, too"
    )


def test_a_wrong_layout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        check(Folder(str(tmp_path / "nothing")))


def test_grey_images_of_tiny_imagenet_are_counted(data_folder: Path) -> None:
    report = check(TinyImagenet(str(data_folder / "tiny-imagenet-200")))
    assert report.sound
    assert set(report.splits["train"].modes) == {"RGB", "L"}
    assert sum(report.splits["train"].modes.values()) == 3000

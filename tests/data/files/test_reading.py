"""Files that become an image set: in memory or not, bad ones skipped or refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.data import ArrayImages, FileImages
from spdbuild.data.files import reading
from spdbuild.data.files.decoding import decode
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.tiny_imagenet import TinyImagenet
from spdbuild.errors import ArgumentError, DataError
from spdbuild.system import memory


def test_a_small_set_is_kept_in_memory(class_folders: Path) -> None:
    images = Folder(str(class_folders)).open("train")
    assert isinstance(images, ArrayImages)
    assert images.size == (8, 8)
    assert images.classes == ("cat", "dog")
    assert images.labels.tolist() == [0, 0, 0, 1, 1, 1]
    first = decode(class_folders / "train" / "cat" / "train-cat-0.png", None, None)
    np.testing.assert_array_equal(images.images[0].numpy(), first)


def test_a_large_set_stays_in_files(class_folders: Path) -> None:
    images = Folder(str(class_folders), memory_gib=1e-7).open("train")
    assert isinstance(images, FileImages)
    assert (len(images), images.size) == (6, (8, 8))


def test_files_below_a_class_folder_belong_to_the_class(class_folders: Path, write_image) -> None:
    write_image(class_folders / "train" / "cat" / "siamese" / "deep.png")
    (class_folders / "train" / "cat" / "notes.txt").write_text("nothing to see")
    (class_folders / "train" / "cat" / ".hidden.png").write_bytes(b"")
    assert Folder(str(class_folders)).open("train").labels.tolist() == [0, 0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("memory_gib", [1.0, 0.0], ids=["memory", "files"])
def test_bad_files_are_skipped_and_named_if_the_recipe_says_so(damaged: Path, memory_gib: float) -> None:
    images = Folder(str(damaged), on_error="skip", memory_gib=memory_gib).open("train")
    assert len(images) == 5
    assert images.labels.tolist() == [0, 0, 1, 1, 1]
    assert [(file.path.name, file.reason) for file in images.skipped] == [("train-cat-1.png", "is empty (0 bytes)")]


def test_bad_files_are_refused_otherwise(damaged: Path) -> None:
    with pytest.raises(DataError) as caught:
        Folder(str(damaged)).open("train")
    assert str(caught.value) == (
        f"error: 1 of 6 files in {damaged}/train cannot be used: cat/train-cat-1.png is empty (0 bytes)\n"
        "      = hint: mend or remove them, or leave them out with on_error: skip"
    )


@pytest.mark.parametrize("on_error", ["skip", "refuse"])
def test_different_sizes_are_never_skipped_silently(class_folders: Path, write_image, on_error: str) -> None:
    write_image(class_folders / "train" / "dog" / "wide.png", size=(12, 8))
    with pytest.raises(DataError) as caught:
        Folder(str(class_folders), on_error=on_error).open("train")
    assert str(caught.value) == (
        f"error: the images in {class_folders}/train have different sizes: dog/wide.png is 12x8 pixels, not 8x8\n"
        "      = hint: give the side in pixels that all shall have, such as size: 64"
    )


def test_a_size_makes_different_images_equal(class_folders: Path, write_image) -> None:
    write_image(class_folders / "train" / "dog" / "wide.png", size=(12, 8))
    images = Folder(str(class_folders), size=10, resize="crop").open("train")
    assert (len(images), images.size) == (7, (10, 10))


@pytest.mark.parametrize("memory_gib", [1.0, 0.0], ids=["memory", "files"])
def test_a_size_may_be_a_height_and_a_width(class_folders: Path, memory_gib: float) -> None:
    images = Folder(str(class_folders), size=(12, 6), memory_gib=memory_gib).open("train")
    assert images.size == (12, 6)
    pixels = images.images if isinstance(images, ArrayImages) else images.read(range(6))
    with Image.open(images.paths[2]) as stored:
        wanted = np.asarray(stored.resize((6, 12), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels[2].numpy(), wanted)


@pytest.mark.parametrize("on_error", ["skip", "refuse"])
def test_a_set_without_one_sound_image_is_refused(class_folders: Path, on_error: str) -> None:
    for file in (class_folders / "train").rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        Folder(str(class_folders), on_error=on_error).open("train")
    names = [f"{name}/train-{name}-{number}.png" for name in ("cat", "dog") for number in range(3)]
    assert str(caught.value) == (
        f"error: none of the 6 files in {class_folders}/train can be used: "
        + "; ".join(f"{name} is empty (0 bytes)" for name in names[:5])
        + "; and 1 more\n"
        f"      = hint: look at the first: file {class_folders}/train/cat/train-cat-0.png"
    )


def test_a_class_whose_files_are_all_bad_is_not_skipped(class_folders: Path) -> None:
    for file in (class_folders / "train" / "dog").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        Folder(str(class_folders), on_error="skip").open("train")
    faults = "; ".join(f"dog/train-dog-{number}.png is empty (0 bytes)" for number in range(3))
    assert str(caught.value) == (
        f"error: the class 'dog' has no file in {class_folders}/train that can be used: {faults}\n"
        "      = hint: mend one of them, or leave the class out"
    )


@pytest.mark.parametrize("cached_from", [1, 1000], ids=["cached", "fresh"])
def test_a_broken_link_is_a_bad_file_among_others(class_folders: Path, monkeypatch, cached_from: int) -> None:
    monkeypatch.setattr(reading, "_CACHED_FROM", cached_from)
    (class_folders / "train" / "cat" / "link.png").symlink_to(class_folders / "gone.png")
    images = Folder(str(class_folders), on_error="skip").open("train")
    assert len(images) == 6
    assert [(file.path.name, file.reason) for file in images.skipped] == [("link.png", "does not exist")]
    with pytest.raises(DataError, match="1 of 7 files in .* cannot be used: cat/link.png does not exist"):
        Folder(str(class_folders)).open("train")


def test_a_file_that_is_gone_when_it_is_read_is_bad(class_folders: Path) -> None:
    listing = Folder(str(class_folders)).listing("train")
    (class_folders / "train" / "cat" / "train-cat-0.png").unlink()
    decoded = reading.decode_all(listing.paths, (8, 8), None, None, keep=True)
    assert [(file.path.name, file.reason) for file in decoded.bad] == [("train-cat-0.png", "does not exist")]


def test_files_met_while_training_get_their_own_advice(class_folders: Path, write_image) -> None:
    """Files of another size cannot be skipped, so nobody is told to."""
    write_image(class_folders / "train" / "dog" / "wide.png", size=(12, 8))
    (class_folders / "train" / "dog" / "empty.png").touch()
    images = Folder(str(class_folders), memory_gib=0).open("train")
    names = [path.name for path in images.paths]
    advice = [images.advice_on(images.read([names.index(name)])) for name in ("wide.png", "empty.png")]
    assert advice == [
        "give the side in pixels that all shall have, such as size: 64",
        "mend or remove it, or skip such files with on_error: skip",
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"size": 0}, "size must be at least 1, got 0"),
        ({"size": -3}, "size must be at least 1, got -3"),
        ({"size": (8, 0)}, "size must be at least 1, got 0"),
        ({"memory_gib": -1.0}, "memory_gib must be at least 0, got -1.0"),
        ({"memory_gib": float("nan")}, "memory_gib must be a finite number, got nan"),
    ],
)
@pytest.mark.parametrize("data_set", [Folder, TinyImagenet])
def test_numbers_that_mean_nothing_are_refused(data_set, fields: dict[str, float], text: str) -> None:
    if not set(fields) <= {field.name for field in dataclasses.fields(data_set)}:
        pytest.skip("has no such field")
    with pytest.raises(ArgumentError) as caught:
        data_set("pets", **fields)
    assert (str(caught.value), caught.value.argument) == (f"error: {text}", next(iter(fields)))


@pytest.fixture
def one_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2**20)


@pytest.mark.usefixtures("one_mib")
@pytest.mark.parametrize("on_error", ["skip", "refuse"])
def test_an_image_that_does_not_fit_into_memory_is_refused(class_folders: Path, on_error: str) -> None:
    with pytest.raises(DataError) as caught:
        Folder(str(class_folders), size=10_000, on_error=on_error).open("train")
    assert str(caught.value) == (
        "error: the pixels of an image of 10000x10000 need 0.9 GiB of memory, and 0.0 GiB are free\n"
        "      = hint: a smaller size"
    )


@pytest.mark.usefixtures("one_mib")
def test_images_that_together_do_not_fit_are_refused_or_stay_in_files(class_folders: Path) -> None:
    """Six of 300x300 pixels have 1.5 MiB, and one of them takes 0.9 MiB while it is decoded."""
    with pytest.raises(DataError) as caught:
        Folder(str(class_folders), size=300).open("train")
    assert caught.value.problems[0].hint == (
        "a smaller size, or memory_gib below 0.00151: then files are decoded while training"
    )
    assert isinstance(Folder(str(class_folders), size=300, memory_gib=0.0015).open("train"), FileImages)

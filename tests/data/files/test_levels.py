"""Grey images of more than 8 bits, scaled by the levels of a data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spdbuild.data.detection.check import check as check_boxes
from spdbuild.data.detection.pixels import read_pixels
from spdbuild.data.detection.store import cache_key
from spdbuild.data.files import cache
from spdbuild.data.files.decoding import BadFile, decode
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.pictures import picture
from spdbuild.data.overview.checking import check
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.yolo import Yolo
from spdbuild.errors import ArgumentError

#: What a thermal camera gives: hundredths of a kelvin.
VALUES = np.array([[27_000, 28_000, 28_010], [29_000, 30_000, 40_000]])
LEVELS = (28_000, 30_000)
#: 10 of 2000 are 1.275 of 255, and 1000 of 2000 are 127.5, whose nearest even number is 128.
EXPECTED = np.array([[0, 0, 1], [128, 255, 255]])


def grey(pixels: NDArray[np.uint8] | BadFile) -> NDArray[np.uint8]:
    """The one channel that all three are equal to."""
    assert isinstance(pixels, np.ndarray), pixels
    np.testing.assert_array_equal(pixels[0], pixels[1])
    np.testing.assert_array_equal(pixels[0], pixels[2])
    return pixels[0]


@pytest.mark.parametrize(
    ("kind", "name"), [(np.uint16, "a.png"), (np.uint16, "a.tif"), (np.int32, "a.tif"), (np.float32, "a.tif")]
)
def test_values_between_the_levels_become_grey(tmp_path: Path, kind: type, name: str) -> None:
    Image.fromarray(VALUES.astype(kind)).save(tmp_path / name)
    np.testing.assert_array_equal(grey(decode(tmp_path / name, None, None, LEVELS)), EXPECTED)


def test_fractions_and_missing_values_of_floating_point_numbers(tmp_path: Path) -> None:
    Image.fromarray(np.array([[-1.0, 0.1, 0.75, np.nan]], np.float32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(grey(decode(tmp_path / "a.tif", None, None, (0, 1))), [[0, 26, 191, 0]])


def test_images_of_8_bits_stay_as_they_are(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(grey(decode(tmp_path / "a.png", None, None, LEVELS)), values)


def test_an_image_of_unknown_range_says_what_is_missing(tmp_path: Path) -> None:
    Image.fromarray(VALUES.astype(np.float32)).save(tmp_path / "a.tif")
    bad = decode(tmp_path / "a.tif", None, None)
    assert isinstance(bad, BadFile)
    assert bad.reason == "has pixels of mode F, whose range is not known; levels of the data set say it"


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((5.0, 5.0), "levels must grow from black to white, got 5 to 5"),
        ((9.0, 1.0), "levels must grow from black to white, got 9 to 1"),
        ((0.0, float("inf")), "levels must be a finite number, got inf"),
    ],
)
@pytest.mark.parametrize("data_set", [Folder, Yolo])
def test_levels_that_cannot_be_are_refused(data_set: type, levels: tuple[float, float], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        data_set("nowhere", levels=levels)
    assert (caught.value.problems[0].message, caught.value.argument) == (message, "levels")


@pytest.fixture
def thermal(tmp_path: Path) -> Path:
    """Class folders with an image each, of 16 bits."""
    for split in ("train", "test"):
        for name, shift in (("cold", 0), ("warm", 1000)):
            (tmp_path / split / name).mkdir(parents=True)
            Image.fromarray((VALUES + shift).astype(np.uint16)).save(tmp_path / split / name / "0.png")
    return tmp_path


@pytest.mark.parametrize("memory_gib", [1.0, 0.0])
def test_a_folder_gives_scaled_images_in_memory_and_from_files(thermal: Path, memory_gib: float) -> None:
    images = Folder(str(thermal), levels=LEVELS, memory_gib=memory_gib).open("train")
    first = images.read([0]) if memory_gib == 0 else images.images[:1]
    np.testing.assert_array_equal(grey(first[0].numpy()), EXPECTED)


def test_a_check_names_images_that_the_levels_leave_nothing_of(thermal: Path) -> None:
    report = check(Folder(str(thermal), levels=(0, 27_000)))
    told = "has values from 27000 to 40000, all outside of levels: [0, 27000]"
    assert report.splits["train"].dark["cold/0.png"] == told
    assert check(Folder(str(thermal), levels=LEVELS)).splits["train"].dark == {}
    # 51 and 47 of 256 levels, though the values are in the upper half.
    assert set(check(Folder(str(thermal))).splits["train"].dark) == {"cold/0.png", "warm/0.png"}


def test_kept_images_of_other_levels_are_not_used(thermal: Path) -> None:
    listing = Folder(str(thermal)).listing("train")
    keys = {cache.cache_key(listing, (2, 3), None, levels, keep=True) for levels in (None, LEVELS, (0.0, 1.0))}
    assert len(keys) == 3


def test_a_detection_set_gives_scaled_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    Image.fromarray(VALUES.astype(np.uint16)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [hot]\n")

    def opened(levels: Levels) -> Yolo:
        return Yolo(str(tmp_path / "data.yaml"), levels=levels)

    dataset = opened(LEVELS).open("train")
    pixels = read_pixels(dataset, 0)
    assert isinstance(pixels, np.ndarray)
    np.testing.assert_array_equal(pixels, np.stack([EXPECTED] * 3, axis=2))
    assert cache_key(dataset, 64) != cache_key(opened(None).open("train"), 64)
    (told,) = check_boxes(opened((50_000, 60_000)).read("train")).findings
    assert told.detail == "has values from 27000 to 40000, all outside of levels: [50000, 60000]"
    assert check_boxes(dataset).findings == ()


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_an_array_in_memory_is_scaled_too(kind: type) -> None:
    np.testing.assert_array_equal(grey(decode(picture(VALUES.astype(kind), "a"), None, None, LEVELS)), EXPECTED)


def test_three_channels_of_16_bits_are_refused() -> None:
    with pytest.raises(ArgumentError, match="is ndarray 2x2x3 of uint16"):
        picture(np.zeros((2, 2, 3), np.uint16), "a")


def test_a_network_predicts_from_images_as_it_was_trained(thermal: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    import spdbuild
    from spdbuild.cli import spdbuild as program

    recipe = {
        "architecture": "cifar_resnet20",
        "data": {"name": "folder", "root": str(thermal), "size": 32, "levels": list(LEVELS)},
        "epochs": 1,
        "batch": 2,
        "workers": 0,
        "optimizer": {"name": "sgd"},
        "schedule": {"name": "constant"},
    }
    run = spdbuild.train(recipe, runs=tmp_path / "runs", quiet=True).folder
    file = thermal / "test" / "warm" / "0.png"
    deep = (VALUES + 1000).astype(np.uint16)
    shallow = grey(decode(file, None, None, LEVELS))
    seen = [[found["score"] for found in each.found] for each in spdbuild.predict(run, [file, deep, shallow])]
    assert seen[0] == seen[1] == seen[2]
    (other,) = spdbuild.predict(run, [deep], ["data.levels=[0, 65535]"])
    assert [found["score"] for found in other.found] != seen[0]
    result = CliRunner().invoke(program, ["export", str(run), "-o", str(tmp_path / "a.pt2"), "--json"])
    assert result.exit_code == 0, result.output
    steps = json.loads(result.stdout)["metadata"]["preprocess"]
    assert steps[0] == {"name": "levels", "black": 28_000, "white": 30_000}

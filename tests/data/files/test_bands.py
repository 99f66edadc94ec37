"""Images with more bands than a network gets, and colour of more than 8 bits."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from spdbuild.data.detection.check import check as check_boxes
from spdbuild.data.files.decoding import BadFile, decode, lost_in_file
from spdbuild.data.files.images import pixel_remarks
from spdbuild.data.overview.checking import check
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.yolo import Yolo
from spdbuild.training.recipe.beginning import beginning

#: Photometric interpretations, and what a further band of a TIFF is: nobody says, or transparency.
BLACK_IS_ZERO, RGB = 1, 2
UNKNOWN, ALPHA = 0, 2

FEW = (
    "16 levels are left of each colour; levels apply to grey only, so write it as 8-bit RGB, scaled to the range of the"
)


def write_tiff(path: Path, pixels: NDArray[np.generic], photometric: int = RGB, extra: tuple[int, ...] = ()) -> Path:
    """A TIFF of pixels [height, width, bands], whatever their kind and their number."""
    height, width, bands = pixels.shape
    tags = ImageFileDirectory_v2()
    tags[256], tags[257], tags[259], tags[262], tags[273], tags[277] = width, height, 1, photometric, 0, bands
    tags[258] = (8 * pixels.itemsize,) * bands
    tags[278], tags[279] = height, pixels.nbytes
    tags[339] = ({"u": 1, "f": 3}[pixels.dtype.kind],) * bands
    if extra:
        tags[338] = extra
    with path.open("wb") as file:
        tags.save(file)
        file.write(pixels.tobytes())
    return path


def write_png(path: Path, pixels: NDArray[np.uint16]) -> Path:
    """A PNG of 16 bits per colour, which Pillow does not write."""
    height, width, _ = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes((16, 2, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


def deep(most: int) -> NDArray[np.uint16]:
    """4x6 pixels with three colours from 0 to `most`."""
    return np.linspace(0, most, 72).reshape(4, 6, 3).astype(np.uint16)


def reason(path: Path, levels: tuple[float, float] | None = None) -> str:
    bad = decode(path, None, None, levels)
    assert isinstance(bad, BadFile)
    return bad.reason


@pytest.mark.parametrize(("write", "name"), [(write_tiff, "a.tif"), (write_png, "a.png")], ids=["tif", "png"])
def test_colours_of_16_bits_keep_their_upper_8_and_it_is_told_if_few_are_left(tmp_path, write, name) -> None:
    file = write(tmp_path / name, deep(4095))
    pixels = decode(file, None, None)
    np.testing.assert_array_equal(pixels, (deep(4095) >> 8).transpose(2, 0, 1))
    assert lost_in_file(file, None) == {"few grey levels": f"is a 16-bit colour image: {FEW} data"}
    assert lost_in_file(write(file, deep(65535)), None) == {}


@pytest.mark.parametrize(("write", "name"), [(write_tiff, "a.tif"), (write_png, "a.png")], ids=["tif", "png"])
def test_levels_of_colours_of_16_bits_are_refused(tmp_path: Path, write, name) -> None:
    file = write(tmp_path / name, deep(65535))
    told = (
        "is a 16-bit colour image: levels apply to grey only, so write it as 8-bit RGB, scaled to the range of the data"
    )
    assert reason(file, (0, 4095)) == told
    assert lost_in_file(file, (0, 4095)) == {}


@pytest.mark.parametrize(
    ("bands", "photometric", "extra", "told"),
    [
        (4, RGB, (UNKNOWN,), "has 4 bands, of which a network gets the first 3"),
        (6, RGB, (UNKNOWN,) * 3, "has 6 bands, of which a network gets the first 3"),
        (2, BLACK_IS_ZERO, (UNKNOWN,), "has 2 bands, of which a network gets the first"),
    ],
)
def test_bands_that_are_not_read_are_told(tmp_path: Path, bands, photometric, extra, told) -> None:
    values = np.arange(24 * bands, dtype=np.uint8).reshape(4, 6, bands)
    file = write_tiff(tmp_path / "a.tif", values, photometric, extra)
    pixels = decode(file, None, None)
    if isinstance(pixels, BadFile) and bands == 2:
        pytest.skip("this Pillow does not read two bands")
    assert isinstance(pixels, np.ndarray)
    np.testing.assert_array_equal(pixels[0], values[:, :, 0])
    assert lost_in_file(file, None) == {"bands left out": f"{told}: write an RGB composite"}


def test_a_fourth_band_is_only_called_transparent_if_the_file_calls_it_that(tmp_path: Path) -> None:
    values = np.arange(96, dtype=np.uint8).reshape(4, 6, 4)
    assert reason(write_tiff(tmp_path / "a.tif", values, extra=(ALPHA,))) == "is partly transparent"
    told = "has 4 bands, of which a network gets 3: write an RGB composite"
    assert reason(write_tiff(tmp_path / "a.tif", values)) == told


@pytest.mark.parametrize(
    ("pixels", "photometric", "told"),
    [
        (np.zeros((4, 6, 13), np.uint16), BLACK_IS_ZERO, "has 13 bands, of which a network gets 3"),
        (np.zeros((4, 6, 4), np.uint8), BLACK_IS_ZERO, "has 4 bands, of which a network gets 3"),
        (np.zeros((4, 6, 1)), BLACK_IS_ZERO, "has pixels of floating point numbers of 64 bits, which are not read"),
        (np.zeros((4, 6, 3), np.uint32), RGB, "has pixels of whole numbers of 32 bits in 3 bands, which are not read"),
    ],
)
def test_a_tiff_that_pillow_does_not_know_is_described(tmp_path: Path, pixels, photometric, told) -> None:
    extra = (UNKNOWN,) * (pixels.shape[2] - 1) if photometric == BLACK_IS_ZERO else ()
    assert reason(write_tiff(tmp_path / "a.tif", pixels, photometric, extra)).startswith(f"{told}: write ")


def test_pillow_logs_nothing_beside_the_reason(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", np.zeros((4, 6, 13), np.uint8), BLACK_IS_ZERO, (UNKNOWN,) * 12)
    program = "import pathlib, spdbuild.data.files.decoding as d; print(d.decode(pathlib.Path('a.tif'), None, None))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "a.tif: has 13 bands, of which a network gets 3: write an RGB composite\n"
    assert done.stderr == ""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Class folders with images of 12 bits in four bands."""
    for split in ("train", "test"):
        for name in ("soil", "water"):
            (tmp_path / split / name).mkdir(parents=True)
            pixels = np.concatenate((deep(4095), deep(4095)[:, :, :1]), axis=2)
            write_tiff(tmp_path / split / name / "0.tif", pixels, extra=(UNKNOWN,))
    return tmp_path


def test_a_check_a_run_and_a_starting_recipe_tell_both(folder: Path) -> None:
    file, data_set = folder / "train" / "soil" / "0.tif", Folder(str(folder))
    levels, bands = f"is a 16-bit colour image: {FEW} data", "has 4 bands, of which a network gets the first 3"
    report = check(data_set)
    assert report.splits["train"].dark["soil/0.tif"] == levels
    assert report.splits["train"].bands["soil/0.tif"] == f"{bands}: write an RGB composite"
    remarks = pixel_remarks(data_set.open("train").paths, None, "to train on")
    assert remarks == [
        f"warning: of the images to train on, {file} {words}" for words in (levels, f"{bands}: write an RGB composite")
    ]
    assert "".join(f"# {remark}\n" for remark in remarks) + "data: " in beginning(data_set, "FILE")
    refused = check(Folder(str(folder), levels=(0, 4095)))
    assert refused.splits["train"].bad["soil/0.tif"].startswith("is a 16-bit colour image: levels apply to grey only")


def test_a_check_of_boxes_tells_both(tmp_path: Path) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    pixels = np.concatenate((deep(4095), deep(4095)[:, :, :1]), axis=2)
    file = write_tiff(tmp_path / "images" / "a.tif", pixels, extra=(UNKNOWN,))
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "data.yaml").write_text("train: images\nval: images\nnames: [field]\n")
    report = check_boxes(Yolo(str(tmp_path / "data.yaml")).read("train"))
    assert [finding.kind for finding in report.findings] == ["few grey levels", "bands left out"]
    assert {finding.where for finding in report.findings} == {str(file)}
    assert report.sound


def test_images_of_8_bits_in_three_bands_lose_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif", "a.jpg", "a.webp"):
        Image.new("RGB", (6, 4), "red").save(tmp_path / name)
        assert lost_in_file(tmp_path / name, None) == {}
    Image.new("RGBA", (6, 4), "red").save(tmp_path / "a.tif")
    assert lost_in_file(tmp_path / "a.tif", None) == {}


def test_deep_colour_in_separate_planes_is_refused(tmp_path: Path) -> None:
    height, width = 10, 12
    pixels = np.random.default_rng(0).integers(0, 65536, (3, height, width), dtype=np.uint16)
    tags = ImageFileDirectory_v2()
    tags[256], tags[257], tags[259], tags[262], tags[277], tags[284] = width, height, 1, RGB, 3, 2
    tags[258], tags[278], tags[279], tags[339] = (16, 16, 16), height, (pixels[0].nbytes,) * 3, (1, 1, 1)
    tags[273] = (0, 0, 0)
    head = tags.tobytes(8)
    tags[273] = tuple(8 + len(head) + number * pixels[0].nbytes for number in range(3))
    (tmp_path / "x.tif").write_bytes(b"II*\0" + (8).to_bytes(4, "little") + tags.tobytes(8) + pixels.tobytes())
    seen = decode(tmp_path / "x.tif", None, None)
    reason = "is 16-bit colour in separate planes, which is not read: write it as 8-bit RGB"
    assert seen == BadFile(tmp_path / "x.tif", reason)


def test_values_of_32_bits_are_unsigned(tmp_path: Path) -> None:
    values = np.array([[0, 2**31 - 1, 2**31, 2**32 - 1]], dtype=np.uint32)
    path = write_tiff(tmp_path / "x.tif", values[..., None], photometric=BLACK_IS_ZERO)
    seen = decode(path, None, None, levels=(0, 2**32 - 1))
    assert not isinstance(seen, BadFile)
    assert seen[0].flatten().tolist() == [0, 127, 128, 255]

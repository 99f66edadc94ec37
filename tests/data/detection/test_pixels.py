from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from spdbuild.data.detection import pixels
from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.pixels import image_size, read_file, scaled, size_at
from spdbuild.data.detection.table import ImageRecord
from spdbuild.data.files.decoding import ORIENTATION, opened


@pytest.fixture
def photo() -> Image.Image:
    y, x = np.mgrid[:40, :60]
    return Image.fromarray(np.stack((4 * x, 6 * y, x + y), axis=-1).astype(np.uint8))


def test_both_decoders_give_the_same_pixels(
    photo: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo.save(tmp_path / "a.jpg")
    fast = read_file(tmp_path / "a.jpg")
    monkeypatch.setattr(pixels, "_decode_jpeg", lambda data: None)
    slow = read_file(tmp_path / "a.jpg")
    assert not isinstance(fast, Finding)
    assert not isinstance(slow, Finding)
    assert fast.shape == (40, 60, 3)
    assert (fast == slow).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_upright_whatever_they_say_of_their_orientation(
    photo: Image.Image, tmp_path: Path, suffix: str, orientation: int
) -> None:
    """Newer versions of Pillow give the size of a TIFF as it will be once it is turned; EXIF 2.32, tag 274."""
    file, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    photo.save(file, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    upright = read_file(file)
    assert not isinstance(upright, Finding)
    assert upright.shape[:2] == image_size(file) == ((40, 60) if orientation < 5 else (60, 40))
    # Where the upper left corner goes, which alone is black.
    row, column = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}[
        orientation
    ]
    assert upright[row, column].max() < 30


def test_grey_files_have_three_equal_channels(photo: Image.Image, tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        photo.convert("L").save(tmp_path / name)
        image = read_file(tmp_path / name)
        assert not isinstance(image, Finding)
        assert (image == image[:, :, :1]).all()


@pytest.mark.parametrize(
    ("content", "kind"), [(None, "missing image"), (b"", "corrupt image"), (b"\xff\xd8\xffxx", "corrupt image")]
)
def test_files_without_an_image_are_findings(tmp_path: Path, content: bytes | None, kind: str) -> None:
    file = tmp_path / "a.jpg"
    if content is not None:
        file.write_bytes(content)
    for finding in (read_file(file), image_size(file)):
        assert isinstance(finding, Finding)
        assert finding.kind == kind


def write_head(file: Path, width: int, height: int) -> None:
    """A small image whose head says that it is of another size."""
    Image.new("RGB", (8, 8)).save(file)
    content = bytearray(file.read_bytes())
    if file.suffix == ".png":
        content[16:24] = struct.pack(">II", width, height)
        content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    else:
        start = content.index(b"\xff\xc0") + 5
        content[start : start + 4] = struct.pack(">HH", height, width)
    file.write_bytes(content)


# Pillow warns of what is up to twice as large as the limit.
@pytest.mark.filterwarnings("ignore:Image size:PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize(
    ("width", "height", "fault"),
    [(30000, 30000, "is 30000x30000 pixels"), (60000, 60000, "has more than 1,431,655,764 pixels")],
)
def test_an_image_that_is_too_large_is_refused_by_its_head(
    tmp_path: Path, suffix: str, width: int, height: int, fault: str
) -> None:
    file = tmp_path / f"a.{suffix}"
    write_head(file, width, height)
    for finding in (read_file(file), image_size(file)):
        assert isinstance(finding, Finding)
        assert str(finding) == f"{file}: {fault}; images of more than 715,827,882 pixels are not read"


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_an_image_of_600_megapixels_is_not_too_large(tmp_path: Path, suffix: str) -> None:
    file, limit = tmp_path / f"a.{suffix}", Image.MAX_IMAGE_PIXELS
    write_head(file, 30000, 20000)
    with opened(file) as image:
        assert image.size == (30000, 20000)
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((640, 480), (640, 480)), ((333, 500), (426, 640)), ((1000, 3), (640, 1)), ((50, 60), (533, 640))],
)
def test_the_longer_side_gets_the_training_size(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    assert size_at(ImageRecord(1, "a", None, width=size[1], height=size[0]), 640) == wanted


def test_no_size_loses_a_pixel_to_rounding() -> None:
    for longer in range(1, 3000):
        shorter = longer * 2 // 3 + 1
        for side in (128, 416, 640):
            found = size_at(ImageRecord(1, "a", None, width=longer, height=shorter), side)
            assert found == (max(1, floor(Fraction(side, longer) * shorter)), side)


def test_scaling_down_averages(photo: Image.Image) -> None:
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)
    assert np.abs(scaled(checkers, (16, 16)).astype(int) - 128).max() < 20


@pytest.mark.filterwarnings("error")
def test_an_image_of_one_pixel_can_be_written_to(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "1.png")
    image = read_file(tmp_path / "1.png")
    assert not isinstance(image, Finding)
    assert torch.from_numpy(image).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("where", ["before", "behind", "text"])
def test_exif_of_a_png_is_found_wherever_it_stands(tmp_path: Path, where: str) -> None:
    file, exif = tmp_path / "a.png", Image.Exif()
    exif[ORIENTATION] = 6
    if where == "text":
        raw = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
        told = PngInfo()
        told.add_text("Raw profile type exif", f"\nexif\n{len(raw):8}\n{raw.hex()}\n", zip=True)
        Image.new("RGB", (30, 20)).save(file, pnginfo=told)
    else:
        Image.new("RGB", (30, 20)).save(file, exif=exif)
    if where == "behind":
        data = file.read_bytes()
        start = data.index(b"eXIf") - 4
        length = int.from_bytes(data[start : start + 4]) + 12
        end = data.index(b"IEND") - 4
        file.write_bytes(data[:start] + data[start + length : end] + data[start : start + length] + data[end:])
    assert image_size(file) == (30, 20)


def test_the_size_of_a_png_is_told_without_its_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(file)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", None)
    assert image_size(file) == (20, 30)

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import EpsImagePlugin, Image, features
from torchvision.transforms.v2 import functional as vision

from spdbuild.data.files.decoding import MAX_PIXELS, SUFFIXES, BadFile, OddSize, _formats, decode, opened
from spdbuild.data.files.listing import image_files


def pixels(path: Path) -> np.ndarray:
    image = decode(path, None, None)
    assert isinstance(image, np.ndarray), image
    return image


def reason(path: Path) -> str:
    bad = decode(path, None, None)
    assert isinstance(bad, BadFile)
    assert bad.path == path
    return bad.reason


@pytest.fixture
def rgb() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


@pytest.fixture
def grey(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., 0].copy()


def test_rgb_stays_as_it_is(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), rgb.transpose(2, 0, 1))


def test_grey_becomes_three_equal_channels(tmp_path: Path, grey: np.ndarray) -> None:
    Image.fromarray(grey).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), np.stack([grey] * 3))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_grey_keeps_its_upper_bits(tmp_path: Path, grey: np.ndarray, suffix: str) -> None:
    """Pillow's own conversion would clip all above 255 to white."""
    path = tmp_path / f"a{suffix}"
    Image.fromarray(grey.astype(np.uint16) * 256 + 77).save(path)
    np.testing.assert_array_equal(pixels(path), np.stack([grey] * 3))


def test_alpha_that_hides_nothing_is_dropped(tmp_path: Path, rgb: np.ndarray) -> None:
    opaque = np.concatenate([rgb, np.full((4, 6, 1), 255, np.uint8)], axis=2)
    Image.fromarray(opaque).save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), rgb.transpose(2, 0, 1))


def test_a_palette_becomes_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png")[:, 0], [[10, 40], [20, 50], [30, 60]])


def test_a_transparent_colour_is_bad_only_where_a_pixel_has_it(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "used.png", transparency=1)
    image.putpixel((1, 0), 0)
    image.save(tmp_path / "unused.png", transparency=1)
    assert reason(tmp_path / "used.png") == "is partly transparent"
    np.testing.assert_array_equal(pixels(tmp_path / "unused.png")[:, 0], [[10, 10], [20, 20], [30, 30]])


def test_a_photograph_taken_sideways_stands_upright(tmp_path: Path, rgb: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees to show
    Image.fromarray(rgb).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), np.rot90(rgb, -1).transpose(2, 0, 1))


def test_what_has_no_sound_conversion_is_bad(tmp_path: Path, rgb: np.ndarray) -> None:
    half = np.concatenate([rgb, np.full((4, 6, 1), 128, np.uint8)], axis=2)
    Image.fromarray(half).save(tmp_path / "half.png")
    Image.fromarray(rgb[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(rgb).save(tmp_path / "film.gif", save_all=True, append_images=[Image.fromarray(255 - rgb)])
    assert reason(tmp_path / "half.png") == "is partly transparent"
    assert (
        reason(tmp_path / "float.tif")
        == "has pixels of mode F, whose range is not known; levels of the data set say it"
    )
    assert reason(tmp_path / "film.gif") == "has 2 frames, not one picture"


def test_damaged_files_are_bad(tmp_path: Path, rgb: np.ndarray) -> None:
    large = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("cut.png", "cut.jpg"):
        Image.fromarray(large).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("<html>404</html>")
    assert reason(tmp_path / "cut.png").startswith("is damaged: ")
    assert reason(tmp_path / "cut.jpg").startswith("is damaged: ")
    assert reason(tmp_path / "empty.png") == "is empty (0 bytes)"
    assert reason(tmp_path / "text.png") == "is not an image that can be read"
    assert reason(tmp_path / "none.png") == "does not exist"


def test_pillows_own_limit_neither_holds_nor_changes(
    tmp_path: Path, rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    with opened(tmp_path / "a.png"):
        assert pixels(tmp_path / "a.png").shape == (3, 4, 6)
        assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS == 715_827_882
    assert Image.MAX_IMAGE_PIXELS == 3
    assert reason(tmp_path / "none.png") == "does not exist"
    assert Image.MAX_IMAGE_PIXELS == 3


def test_an_image_of_another_size_is_odd(tmp_path: Path, rgb: np.ndarray) -> None:
    Image.fromarray(rgb).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png", (8, 8), None) == OddSize(tmp_path / "a.png", "is 6x4 pixels, not 8x8")


@pytest.fixture
def striped(tmp_path: Path) -> Path:
    """24x8 pixels: a third red, a third green, a third blue."""
    image = np.zeros((8, 24, 3), np.uint8)
    for channel in range(3):
        image[:, 8 * channel : 8 * channel + 8, channel] = 255
    Image.fromarray(image).save(tmp_path / "striped.png")
    return tmp_path / "striped.png"


@pytest.mark.parametrize(
    ("size", "scaled"), [((30, 20), (30, 60)), ((10, 60), (30, 60)), ((60, 30), (60, 120))], ids=str
)
def test_an_oblong_crop_is_that_of_an_image_scaled_to_cover_it(
    tmp_path: Path, size: tuple[int, int], scaled: tuple[int, int]
) -> None:
    """As torchvision's presets do it: the image is made to cover the size, and its middle is cut out."""
    stored = np.random.default_rng(0).integers(0, 256, (60, 120, 3), dtype=np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png")
    covering = vision.resize(torch.from_numpy(stored).permute(2, 0, 1), list(scaled), antialias=True)
    found = decode(tmp_path / "a.png", size, "crop").astype(int)
    np.testing.assert_allclose(found, vision.center_crop(covering, list(size)).numpy(), atol=1)


def test_oblong_sizes_keep_what_crop_and_pad_say(striped: Path) -> None:
    high, wide = decode(striped, (8, 4), "crop"), decode(striped, (4, 24), "crop")
    assert high.argmax(0).tolist() == [[1] * 4] * 8
    assert wide.argmax(0).tolist() == [[0] * 8 + [1] * 8 + [2] * 8] * 4
    padded = decode(striped, (8, 48), "pad")
    assert padded.any((0, 1)).tolist() == [False] * 12 + [True] * 24 + [False] * 12


def test_crop_keeps_the_middle(striped: Path) -> None:
    image = decode(striped, (8, 8), "crop")
    np.testing.assert_array_equal(image[1], np.full((8, 8), 255))
    assert not image[0].any()


def test_pad_fills_up_with_black(striped: Path) -> None:
    image = decode(striped, (24, 24), "pad")
    assert not image[:, :8].any()
    assert not image[:, 16:].any()
    np.testing.assert_array_equal(image[2, 8:16, 16:], np.full((8, 8), 255))


def test_squash_fits_all_of_it(striped: Path) -> None:
    image = decode(striped, (3, 3), "squash")
    assert image.argmax(0).tolist() == [[0, 1, 2]] * 3


def test_a_phone_photo_is_its_first_picture(tmp_path: Path) -> None:
    """A JPEG with a second frame is an MPO to Pillow."""
    flat, other = (Image.new("RGB", (6, 4), colour) for colour in ("red", "blue"))
    flat.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[other])
    with Image.open(tmp_path / "phone.jpg") as image:
        assert (image.format, image.n_frames) == ("MPO", 2)
    assert np.abs(pixels(tmp_path / "phone.jpg").astype(int) - [[[255]], [[0]], [[0]]]).max() <= 2


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".tif"])
def test_films_of_other_formats_stay_bad(tmp_path: Path, suffix: str) -> None:
    first, second = (Image.new("RGB", (6, 4), colour) for colour in ("red", "blue"))
    first.save(tmp_path / f"film{suffix}", save_all=True, append_images=[second])
    assert reason(tmp_path / f"film{suffix}") == "has 2 frames, not one picture"


def test_links_to_nothing_and_to_themselves_are_bad(tmp_path: Path) -> None:
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    assert reason(tmp_path / "broken.png") == "does not exist"
    assert reason(tmp_path / "circle.png") == "cannot be read: Too many levels of symbolic links"


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".pnm"])
def test_rarer_names_of_known_formats_are_images(tmp_path: Path, rgb: np.ndarray, suffix: str) -> None:
    Image.fromarray(rgb).save(tmp_path / f"a{suffix}")
    assert list(image_files(tmp_path)) == [tmp_path / f"a{suffix}"]
    assert pixels(tmp_path / f"a{suffix}").shape == (3, 4, 6)


#: The first bytes of what a phone writes: the length of a box, its kind, and the brand.
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.hif", "a.jpg"])
def test_photographs_that_are_not_read_are_bad_images_with_a_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(HEIC)
    assert list(image_files(tmp_path)) == [tmp_path / name]
    assert reason(tmp_path / name) == "is in a format that is not read (convert it to JPEG or PNG)"


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", "labels.csv", "Thumbs.db", "film.mov", ".hidden.jpg", "README"):
        (tmp_path / name).touch()
    assert list(image_files(tmp_path)) == []


@pytest.mark.parametrize(("suffix", "feature"), [(".avif", "avif"), (".jp2", "jpg_2000")])
def test_newer_formats_are_images(tmp_path: Path, rgb: np.ndarray, suffix: str, feature: str) -> None:
    # Older versions warn of a feature that they do not know.
    if feature not in features.get_supported():
        pytest.skip(f"this Pillow has no {feature}")
    Image.fromarray(rgb).save(tmp_path / f"a{suffix}")
    assert list(image_files(tmp_path)) == [tmp_path / f"a{suffix}"]
    assert pixels(tmp_path / f"a{suffix}").shape == (3, 4, 6)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert reason(tmp_path / "a.png") == "cannot be read: it is no file but a pipe or a device"


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_a_program_is_no_image_whatever_it_is_called(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        pytest.fail("Pillow has Ghostscript run the file")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n")
    assert reason(tmp_path / name) == "is not an image that can be read"


def test_every_suffix_has_a_format() -> None:
    known = Image.registered_extensions()
    # An MPO begins as a JPEG and is opened as one.
    assert {known.get(suffix) for suffix in SUFFIXES} - {"MPO", None} == set(_formats())

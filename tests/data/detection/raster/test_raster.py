"""Both libraries do the same to pixels, as far as their roundings allow."""

from __future__ import annotations

import colorsys
import importlib.util

import numpy as np
import pytest
from numpy.typing import NDArray

from spdbuild.data.detection.geometry import Matrix
from spdbuild.data.detection.raster import Raster, open_raster, resolve
from spdbuild.errors import ArgumentError

NAMES = ("torch", pytest.param("opencv", marks=pytest.mark.skipif(
    importlib.util.find_spec("cv2") is None, reason="OpenCV is an extra and not installed"
)))  # fmt: skip


@pytest.fixture(params=NAMES)
def raster(request: pytest.FixtureRequest) -> Raster:
    return open_raster(request.param)


def image_of(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth, so that interpolations differ little."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / (9 + c)) * np.cos(y / (7 + c)) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> int:
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def test_halving_is_the_mean_of_four_pixels(raster: Raster) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    # Antialiasing reaches farther than the four; noise of few levels hides that.
    pixels = (pixels // 64 + image_of(40, 60) // 2).astype(np.uint8)
    mean = pixels.reshape(20, 2, 30, 2, 3).mean(axis=(1, 3))
    assert np.abs(raster.scaled(pixels, (20, 30)).astype(float) - mean).max() <= 5


def test_a_pixel_is_seen_at_every_scale(raster: Raster) -> None:
    for size in range(12, 64, 3):
        for place in range(0, 64, 5):
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[place, place] = 255
            assert raster.scaled(pixels, (size, size)).max() > 0, (size, place)


@pytest.mark.parametrize(
    "matrix",
    [
        np.array(((0.8, 0.3, 4), (-0.2, 1.1, 9), (0, 0, 1))),
        np.array(((1.5, 0, -20), (0.1, 1.4, -7.5), (0, 0, 1))),
        np.array(((1.0, 0.1, 0), (0, 1, 5), (5e-4, -3e-4, 1))),
    ],
    ids=["turned", "enlarged", "perspective"],
)
def test_pixels_go_where_the_map_says(raster: Raster, matrix: Matrix) -> None:
    pixels = image_of(90, 80)
    warped = raster.warped(pixels, matrix, 64)
    inverse = np.linalg.inv(matrix)
    for x, y in ((10, 12), (31, 40), (50, 20), (33, 33)):
        source = inverse @ (x + 0.5, y + 0.5, 1)
        left, top = source[:2] / source[2] - 0.5
        if not (1 <= left < 78 and 1 <= top < 88):
            continue
        x0, y0 = int(left), int(top)
        fx, fy = left - x0, top - y0
        corners = pixels[y0 : y0 + 2, x0 : x0 + 2].astype(float)
        expected = (corners * np.outer((1 - fy, fy), (1 - fx, fx))[:, :, None]).sum(axis=(0, 1))
        assert np.abs(warped[y, x] - expected).max() <= 2


def test_around_the_image_is_grey(raster: Raster) -> None:
    warped = raster.warped(image_of(20, 20), np.array(((0.9, 0.1, 40), (-0.1, 0.9, 40), (0, 0, 1.0))), 64)
    assert (warped[:30, :30] == 114).all()


@pytest.mark.parametrize("factors", [(1.0, 1.0, 1.0), (1.015, 1.6, 1.3), (0.985, 0.4, 0.7)])
def test_colours_change_as_the_standard_library_says(raster: Raster, factors: tuple[float, float, float]) -> None:
    hue, saturation, value = factors
    pixels = np.random.default_rng(1).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    changed = raster.recoloured(pixels, hue, saturation, value)
    expected = []
    for pixel in pixels.reshape(-1, 3).tolist():
        h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in pixel))
        expected.append(colorsys.hsv_to_rgb(h * hue % 1, min(1, s * saturation), min(1, v * value)))
    errors = np.abs(changed.reshape(-1, 3) - 255 * np.array(expected))
    # OpenCV knows 180 hues and 256 saturations: a channel may be off by a 30th of the colour, which here is doubled.
    assert errors.mean() < 2
    assert np.quantile(errors, 0.999) <= 10


def test_no_change_of_colour_leaves_grey_as_it_is(raster: Raster) -> None:
    grey = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    assert difference(raster.recoloured(grey, 1.0, 1.7, 1.0), grey) == 0


@pytest.mark.parametrize("value", [0.6, 1.0, 1.4])
def test_grey_images_are_recoloured_as_among_colours(raster: Raster, value: float) -> None:
    grey = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    beside_red = np.concatenate((grey, np.full((16, 1, 3), (255, 0, 0), np.uint8)), axis=1)
    expected = raster.recoloured(beside_red, 1.01, 1.2, value)[:, :16]
    assert difference(raster.recoloured(grey, 1.01, 1.2, value), expected) == 0


def test_what_is_given_in_is_not_changed(raster: Raster) -> None:
    pixels = image_of(32, 32)
    before = pixels.copy()
    raster.scaled(pixels, (16, 16))
    raster.warped(pixels, np.array(((0.9, 0.1, 4), (-0.1, 0.9, 4), (0, 0, 1.0))), 32)
    raster.recoloured(pixels, 1.01, 1.2, 0.8)
    assert (pixels == before).all()


def test_opencv_is_taken_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert resolve("auto") == "opencv"
    assert resolve("torch") == "torch"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert resolve("auto") == "torch"


def test_a_library_that_is_not_there_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match=r"(?s)opencv is not installed.*spdbuild\[opencv\]"):
        open_raster("opencv")

"""Pixels in files, and the checksums that tell when they are not what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from spdbuild.data.files.pixel_file import checksum, map_pixels, npy_header

#: Two blocks of a checksum, and a part of one.
LENGTH = 2 * 2**16 + 1000


def random_pixels(length: int) -> NDArray[np.uint8]:
    return np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8)


def changed(change: Callable[[NDArray[np.uint8]], object]) -> NDArray[np.uint8]:
    pixels = random_pixels(LENGTH)
    change(pixels)
    return pixels


@pytest.mark.parametrize(
    "pixels",
    [
        changed(lambda pixels: pixels.fill(0)),
        changed(lambda pixels: pixels[4096:8192].fill(0)),
        changed(lambda pixels: pixels[-10:].fill(0)),
        changed(lambda pixels: np.bitwise_xor(pixels[70_000:70_001], 128, out=pixels[70_000:70_001])),
        changed(lambda pixels: np.copyto(pixels[: 2**17], np.roll(pixels[: 2**17], 2**16))),
        random_pixels(LENGTH)[:-1],
    ],
    ids=["cleared", "a page cleared", "the end cleared", "a bit", "blocks exchanged", "cut off"],
)
def test_a_checksum_tells_damaged_pixels(pixels: NDArray[np.uint8]) -> None:
    assert checksum(pixels) != checksum(random_pixels(LENGTH))


def test_a_checksum_is_that_of_the_values_whatever_their_shape_and_place() -> None:
    pixels = random_pixels(3 * 200 * 300 + 1)
    assert checksum(pixels[1:].reshape(200, 300, 3)) == checksum(pixels[1:].copy())
    assert checksum(pixels[:0]) == 0


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (0, 3, 4, 5), (7,), (0,)])
def test_what_numpy_saves_is_mapped(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = random_pixels(int(np.prod(shape))).reshape(shape)
    np.save(tmp_path / "a.npy", pixels)
    mapped = map_pixels(tmp_path / "a.npy", shape)
    np.testing.assert_array_equal(mapped, pixels)
    assert (tmp_path / "a.npy").read_bytes() == npy_header(shape) + pixels.tobytes()
    # What a process changes does not reach the file.
    mapped[:1] = 9
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), pixels)

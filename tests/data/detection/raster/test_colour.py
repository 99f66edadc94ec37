from __future__ import annotations

import colorsys

import pytest
import torch

from spdbuild.data.detection.raster.colour import scale_hsv


def expected(pixel: list[int], hue: float, saturation: float, value: float) -> list[float]:
    """Python's own conversion, there and back."""
    h, s, v = colorsys.rgb_to_hsv(*(channel / 255 for channel in pixel))
    scaled = colorsys.hsv_to_rgb(h * hue % 1, min(1, s * saturation), min(1, v * value))
    return [255 * channel for channel in scaled]


@pytest.mark.parametrize(
    "factors", [(1.0, 1.0, 1.0), (1.015, 1.7, 1.4), (0.985, 0.3, 0.6), (1.9, 1.0, 1.0), (0.0, 0.0, 1.0)]
)
def test_it_agrees_with_the_standard_library(factors: tuple[float, float, float]) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (3, 20, 20), dtype=torch.uint8, generator=generator)
    scaled = scale_hsv(image, *factors)
    for given, got in zip(image.flatten(1).T.tolist(), scaled.flatten(1).T.tolist(), strict=True):
        assert got == pytest.approx(expected(given, *factors), abs=0.51)


@pytest.mark.parametrize("value", [0.6, 1.0, 1.4])
def test_grey_images_are_scaled_as_among_colours(value: float) -> None:
    grey = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    beside_red = torch.cat([grey, torch.tensor([255, 0, 0], dtype=torch.uint8).view(3, 1, 1)], dim=2)
    assert torch.equal(scale_hsv(grey, 1.01, 1.2, value), scale_hsv(beside_red, 1.01, 1.2, value)[:, :, :256])


def test_black_white_and_pure_colours_are_no_special_cases() -> None:
    corners = torch.tensor([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], dtype=torch.uint8)
    assert torch.equal(scale_hsv(corners.T[:, None], 1.0, 1.3, 1.2)[:, 0].T, corners)


def test_rows_are_worked_on_in_parts_without_a_seam() -> None:
    image = torch.randint(0, 256, (3, 300, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    whole = scale_hsv(image, 1.01, 1.2, 0.9)
    rows = [scale_hsv(image[:, row : row + 1], 1.01, 1.2, 0.9) for row in range(300)]
    assert torch.equal(whole, torch.cat(rows, dim=1))

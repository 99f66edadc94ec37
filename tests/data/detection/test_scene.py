from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional

from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.outlines import Outlines
from spdbuild.data.detection.raster.pytorch import TorchRaster
from spdbuild.data.detection.scene import PlacedImage, Scene, mosaic, render

RASTER = TorchRaster()


def image_of(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth, so that interpolations differ little."""
    y, x = np.mgrid[:height, :width]
    waves = [128 + 100 * np.sin(x / (9 + c) + seed) * np.cos(y / (7 + c)) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def nothing() -> Labels:
    rows = np.zeros(0, np.int64)
    return Labels(np.zeros((0, 4)), rows, np.zeros((0, 4)), Outlines.pack([]), rows)


def single(pixels: NDArray[np.uint8]) -> Scene:
    return Scene(pixels.shape[0], pixels.shape[1], (PlacedImage(pixels, 0, 0),), nothing())


def test_a_window_holds_the_parts_of_the_tiles_in_it() -> None:
    first, second = image_of(20, 30), image_of(20, 30, 1)
    scene = Scene(50, 60, (PlacedImage(first, -10, -5), PlacedImage(second, 20, 0)), nothing())
    window = scene.window(5, 0, 45, 40)
    assert (window[:15, :15] == first[5:, 15:]).all()
    assert (window[:20, 15:40] == second[:20, :25]).all()
    assert (window[20:] == 114).all()


def test_four_images_meet_at_the_centre_of_a_mosaic() -> None:
    images = [(np.full((40, 30, 3), value, np.uint8), nothing()) for value in (1, 2, 3, 4)]
    scene = mosaic(images, 40, (35, 45))
    canvas = scene.window(0, 0, 80, 80)[:, :, 0]
    assert canvas[[44, 44, 45, 45], [34, 35, 34, 35]].tolist() == [1, 2, 3, 4]
    assert [(int((canvas == value).sum())) for value in (1, 2, 3, 4)] == [40 * 30, 40 * 30, 35 * 30, 35 * 30]


def test_boxes_of_a_mosaic_go_with_their_images_and_end_at_its_border() -> None:
    place, row = np.array(((1.0, 1, 0, 0),)), np.zeros(1, np.int64)
    box = Labels(np.array(((2.0, 3.0, 30.0, 40.0),)), np.array((7,)), place, Outlines.pack([()]), row)
    scene = mosaic([(image_of(40, 30), box)] * 4, 40, (20, 60))
    assert scene.labels.boxes_xyxy.tolist() == [[0, 23, 20, 60], [22, 23, 50, 60], [0, 63, 20, 80], [22, 63, 50, 80]]


def test_an_aligned_map_is_torchvisions_resize_of_the_window() -> None:
    pixels = image_of(100, 100)
    matrix = np.array(((2.0, 0, -40), (0, 2, -60), (0, 0, 1)))
    image, used = render(single(pixels), matrix, 64, RASTER)
    window = torch.from_numpy(pixels[30:62, 20:52]).permute(2, 0, 1)
    assert used.tolist() == matrix.tolist()
    assert torch.equal(torch.from_numpy(image).permute(2, 0, 1), functional.resize(window, [64, 64], antialias=True))


@pytest.mark.parametrize("scale", [0.31, 0.77, 1.0, 1.43])
def test_the_map_used_differs_by_less_than_a_pixel(scale: float) -> None:
    matrix = np.array(((scale, 0, 3.7), (0, scale, -8.2), (0, 0, 1)))
    _, used = render(single(image_of(120, 110)), matrix, 64, RASTER)
    for point in ((0, 0, 1), (110, 120, 1), (30, 70, 1)):
        shown = matrix @ point
        if (shown[:2] >= 0).all() and (shown[:2] <= 64).all():
            assert abs(used @ point - shown).max() < 1


@pytest.mark.parametrize("scale", [0.8, 1.3])
def test_both_ways_to_render_agree(scale: float) -> None:
    scene = single(image_of(100, 100))
    aligned, used = render(scene, np.array(((scale, 0, 5.0), (0, scale, -9.0), (0, 0, 1))), 64, RASTER)
    tilted = used + np.array(((0, 1e-9, 0), (0, 0, 0), (0, 0, 0)))
    warped, _ = render(scene, tilted, 64, RASTER)
    inner = (slice(2, 62), slice(8, 62))
    assert np.abs(aligned[inner].astype(int) - warped[inner]).max() <= 6


def test_a_quarter_turn_moves_every_pixel_to_its_place() -> None:
    pixels = image_of(64, 64)
    turn = np.array(((0.0, -1, 64), (1, 0, 0), (0, 0, 1)))
    image, _ = render(single(pixels), turn, 64, RASTER)
    assert np.abs(image.astype(int) - np.rot90(pixels, -1)).max() <= 1


def test_outside_of_all_images_is_grey() -> None:
    far = np.array(((1.0, 0, 500), (0, 1, 0), (0, 0, 1)))
    aligned, _ = render(single(image_of(50, 50)), far, 32, RASTER)
    turned, _ = render(single(image_of(50, 50)), far + np.array(((0, 0.1, 0), (0, 0, 0), (0, 0, 0))), 32, RASTER)
    assert (aligned == 114).all()
    assert (turned == 114).all()

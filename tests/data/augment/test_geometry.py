"""Crops, flips, rotations and sizes, against torchvision applied to one image after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vision

from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.data.augment.affine import rotate
from spdbuild.data.augment.cropping import reflected, windows
from spdbuild.data.draws import Draws, generator
from spdbuild.errors import ArgumentError


@pytest.fixture
def images() -> Tensor:
    return torch.randint(256, (40, 3, 11, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def draws(count: int = 40) -> Draws:
    return Draws(generator("test"), count)


def test_windows_are_torchvisions_crops(images: Tensor) -> None:
    top = torch.arange(40) % 5
    left = torch.arange(40) % 4
    wanted = [vision.crop(image, t, x, 7, 6) for image, t, x in zip(images, top.tolist(), left.tolist(), strict=True)]
    assert torch.equal(windows(images, top, left, 7, 6), torch.stack(wanted))


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_each_random_crop_is_a_window_of_the_padded_image(images: Tensor, mode: str) -> None:
    cropped, _ = AUGMENTATIONS["random_crop"](padding=2, mode=mode)(images, torch.zeros(40), draws())
    padded = vision.pad(images, [2, 2, 2, 2], padding_mode="constant" if mode == "zero" else "reflect")
    places = []
    for image, whole in zip(cropped, padded, strict=True):
        found = [(t, x) for t in range(5) for x in range(5) if torch.equal(vision.crop(whole, t, x, 11, 9), image)]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 15


def test_a_line_is_reflected_without_repeating_its_edge() -> None:
    assert reflected(4, 2).tolist() == [2, 1, 0, 1, 2, 3, 2, 1]


@pytest.mark.parametrize(("size", "most"), [(None, 8), (5, 4), (20, 19)], ids=["own size", "smaller", "larger"])
def test_every_random_crop_shows_something_of_the_image(images: Tensor, size: int | None, most: int) -> None:
    white = torch.full_like(images, 255)
    cropped, _ = AUGMENTATIONS["random_crop"](padding=most, size=size)(white, torch.zeros(40), draws())
    assert cropped.flatten(1).any(dim=1).all()
    with pytest.raises(ArgumentError) as caught:
        AUGMENTATIONS["random_crop"](padding=most + 1, size=size)(white, torch.zeros(40), draws())
    assert caught.value.argument == "padding"
    assert str(caught.value) == (
        f"error: random_crop with padding {most + 1} could cut {size or 9}x{size or 11} pixels of nothing but padding\n"
        f"      = hint: a padding of at most {most}"
    )


def test_more_padding_than_any_image_has_pixels_is_refused_without_one() -> None:
    nothing = torch.zeros(0, 3, 65536, 65536, dtype=torch.uint8)
    with pytest.raises(ArgumentError, match="with padding 65536 could cut 65536x65536 pixels of nothing but padding"):
        AUGMENTATIONS["random_crop"](padding=65536)(nothing, torch.zeros(0), draws(0))


def test_a_crop_of_another_size(images: Tensor) -> None:
    cropped, _ = AUGMENTATIONS["random_crop"](padding=0, size=5)(images, torch.zeros(40), draws())
    assert cropped.shape == (40, 3, 5, 5)


def test_an_oblong_random_crop_is_a_window_of_its_height_and_width(images: Tensor) -> None:
    cropped, _ = AUGMENTATIONS["random_crop"](padding=2, size=(7, 11))(images, torch.zeros(40), draws())
    padded = vision.pad(images, [2, 2, 2, 2])
    places = set()
    for image, whole in zip(cropped, padded, strict=True):
        found = [(t, x) for t in range(9) for x in range(3) if torch.equal(vision.crop(whole, t, x, 7, 11), image)]
        assert len(found) == 1
        places |= set(found)
    assert {top for top, _ in places} == set(range(9))
    assert {left for _, left in places} == set(range(3))


@pytest.mark.parametrize(("name", "axis"), [("horizontal_flip", 2), ("vertical_flip", 1)])
def test_about_half_of_the_images_are_flipped(images: Tensor, name: str, axis: int) -> None:
    flipped, _ = AUGMENTATIONS[name]()(images, torch.zeros(40), draws())
    kept = [torch.equal(a, b) for a, b in zip(flipped, images, strict=True)]
    turned = [torch.equal(a, b.flip(axis)) for a, b in zip(flipped, images, strict=True)]
    assert all(a != b for a, b in zip(kept, turned, strict=True))
    assert 10 <= sum(turned) <= 30


def test_rotation_is_torchvisions_with_nearest_pixels(images: Tensor) -> None:
    degrees = (torch.rand(40, generator=torch.Generator().manual_seed(1)) * 360 - 180).tolist()
    wanted = [vision.rotate(image, angle, fill=[0.0]) for image, angle in zip(images, degrees, strict=True)]
    assert torch.equal(rotate(images, degrees), torch.stack(wanted))
    assert torch.equal(rotate(images / 255, degrees), torch.stack(wanted) / 255)


def test_rotation_turns_both_ways_by_no_more_than_its_degrees() -> None:
    images = torch.zeros(200, 1, 65, 65)
    images[..., 31:34, 57:64] = 1  # to the right of the centre
    turned, _ = AUGMENTATIONS["rotation"](degrees=60)(images, torch.zeros(200), draws(200))
    offsets = torch.arange(65.0) - 32
    up, right = ((turned[:, 0].sum(axis) * offsets).sum(1) for axis in (2, 1))
    degrees = torch.atan2(up, right).rad2deg()
    assert -61 < degrees.min() < -55
    assert 55 < degrees.max() < 61


def test_rotation_by_nothing_keeps_the_image(images: Tensor) -> None:
    turned, _ = AUGMENTATIONS["rotation"](degrees=0)(images, torch.zeros(40), draws())
    assert torch.equal(turned, images)


def test_center_crop_and_resize_are_torchvisions(images: Tensor) -> None:
    cropped, _ = AUGMENTATIONS["center_crop"](size=6)(images, torch.zeros(40), draws())
    smaller, _ = AUGMENTATIONS["resize"](size=6)(images, torch.zeros(40), draws())
    assert torch.equal(cropped, vision.center_crop(images, [6, 6]))
    assert torch.equal(smaller, vision.resize(images, [6, 6], antialias=True))


def test_an_oblong_center_crop_and_resize_are_torchvisions(images: Tensor) -> None:
    cropped, _ = AUGMENTATIONS["center_crop"](size=(10, 4))(images, torch.zeros(40), draws())
    changed, _ = AUGMENTATIONS["resize"](size=(6, 12))(images, torch.zeros(40), draws())
    assert torch.equal(cropped, vision.center_crop(images, [10, 4]))
    assert torch.equal(changed, vision.resize(images, [6, 12], antialias=True))


@pytest.mark.parametrize(("size", "height", "width"), [(16, 16, 16), ((16, 16), 16, 16), ((32, 8), 32, 8)], ids=str)
def test_a_random_resized_crop_is_torchvisions_with_a_ratio_relative_to_the_result(
    images: Tensor, size: int | tuple[int, int], height: int, width: int
) -> None:
    cropped, _ = AUGMENTATIONS["random_resized_crop"](size=size, ratio=(0.5, 2.0))(images, torch.zeros(40), draws())
    aspect = width / height
    crop = v2.RandomResizedCrop((height, width), ratio=(0.5 * aspect, 2.0 * aspect))
    for image, result, seed in zip(images, cropped, draws().integers(2**62).tolist(), strict=True):
        torch.manual_seed(seed)
        assert torch.equal(result, crop(image))


def test_parts_of_a_random_resized_crop_have_the_proportions_of_the_result() -> None:
    """The slopes of two ramps, by row and by column, tell how much of the image a pixel of the result stands for."""
    rows, columns = torch.meshgrid(torch.arange(240.0), torch.arange(240.0), indexing="ij")
    ramps = torch.stack((rows, columns, columns)).expand(60, 3, 240, 240)
    crop = AUGMENTATIONS["random_resized_crop"](size=(40, 20), area=(0.1, 0.3))
    cropped, _ = crop(ramps, torch.zeros(60), draws(60))
    assert cropped.shape == (60, 3, 40, 20)
    down = (cropped[:, 0, 30, 10] - cropped[:, 0, 10, 10]) / 20
    across = (cropped[:, 1, 20, 15] - cropped[:, 1, 20, 5]) / 10
    shares = down * 40 * across * 20 / 240**2
    assert 0.09 < shares.min() < 0.14
    assert 0.26 < shares.max() < 0.31
    assert 0.73 < (across / down).min() < 0.8
    assert 1.25 < (across / down).max() < 1.36


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("random_crop", {"padding": 1, "size": 12}, "random_crop cannot cut 12x12 from 11x13 pixels"),
        (
            "random_crop",
            {"padding": 9, "mode": "reflect"},
            "random_crop cannot reflect 9 pixels of 9x11",
        ),
        ("center_crop", {"size": 10}, "center_crop cannot cut 10x10 from 9x11 pixels"),
        ("center_crop", {"size": (9, 11)}, "center_crop cannot cut 11x9 from 9x11 pixels"),
        ("random_crop", {"padding": 0, "size": (9, 11)}, "random_crop cannot cut 11x9 from 9x11 pixels"),
    ],
    ids=["crop too large", "reflects too much", "center too large", "center too wide", "crop too wide"],
)
def test_what_does_not_fit_the_image_is_refused(
    images: Tensor, name: str, arguments: dict[str, object], text: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        AUGMENTATIONS[name](**arguments)(images, torch.zeros(40), draws())
    assert str(caught.value) == f"error: {text}"

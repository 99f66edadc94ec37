"""Crops, flips, rotations and sizes, against torchvision applied to one image after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
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
    ],
    ids=["crop too large", "reflects too much", "center too large"],
)
def test_what_does_not_fit_the_image_is_refused(
    images: Tensor, name: str, arguments: dict[str, object], text: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        AUGMENTATIONS[name](**arguments)(images, torch.zeros(40), draws())
    assert str(caught.value) == f"error: {text}"

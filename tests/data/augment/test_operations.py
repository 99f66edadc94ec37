"""What the policies do with an image, against torchvision on each image alone: the same bits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vision

from spdbuild.data.augment import affine, choosing, colour
from spdbuild.data.augment.choosing import change_each
from spdbuild.data.augment.hue import hue
from spdbuild.data.augment.operations import STRENGTHS, Operation, operations_for, wide_operations

#: In images of 31x31 pixels the last bit of a slope decides between two pixels.
SIZES = [(32, 32), (31, 31), (31, 45), (8, 8)]
NAMES = list(v2.RandAugment._AUGMENTATION_SPACE)


def noise(count: int, channels: int, size: tuple[int, int]) -> Tensor:
    """Every second image is dark, where most differences of a bit would show."""
    images = torch.randint(256, (count, channels, *size), generator=torch.Generator().manual_seed(0))
    images[1::2] //= 20
    return images.to(torch.uint8)


def operation(policy: type, name: str, size: tuple[int, int]) -> Operation:
    operations = operations_for(*size) if policy is v2.RandAugment else wide_operations()
    assert len(operations) == len(policy._AUGMENTATION_SPACE)
    return operations[NAMES.index(name)]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("policy", [v2.RandAugment, v2.TrivialAugmentWide])
def test_an_operation_is_torchvisions_at_every_strength_with_both_signs(
    policy: type, name: str, channels: int, size: tuple[int, int]
) -> None:
    theirs, ours = policy(), operation(policy, name, size)
    magnitudes_of, signed = policy._AUGMENTATION_SPACE[name]
    drawn = magnitudes_of(STRENGTHS, *size)
    magnitudes = [0.0] * STRENGTHS if drawn is None else drawn.tolist()
    images = noise(STRENGTHS, channels, size)

    def wanted(factor: float) -> Tensor:
        changed = [
            theirs._apply_image_or_video_transform(image, name, factor * magnitude, theirs.interpolation, theirs._fill)
            for image, magnitude in zip(images, magnitudes, strict=True)
        ]
        return torch.stack(changed)

    for numbers, sign in zip(ours.numbers, (1, -1 if signed else 1), strict=True):
        found, exact = ours.change(images, list(numbers)), wanted(sign)
        if name.startswith("Shear") and not torch.equal(found, exact):
            # Where a pixel comes from just between two others, torch's products of matrices, which torchvision takes,
            # round to one or the other, depending on the processor: either is right.
            beside = [wanted(sign * factor) for factor in (1 - 1e-6, 1 + 1e-6)]
            either = (found == exact) | (found == beside[0]) | (found == beside[1])
            assert either.all()
            assert (found != exact).any(1).sum() < 10
            continue
        assert torch.equal(found, exact)


@pytest.mark.parametrize("size", [(32, 32), (31, 31), (31, 45), (1, 7)], ids=str)
def test_rotation_is_torchvisions_where_it_turns_by_right_angles_in_another_way(size: tuple[int, int]) -> None:
    degrees = [0.0, 45.0, 90.0, -90.0, 180.0, -180.0, 270.0, 360.0, 1e-6, 89.999]
    images = noise(len(degrees), 3, size)
    wanted = [vision.rotate(image, angle) for image, angle in zip(images, degrees, strict=True)]
    assert torch.equal(affine.rotate(images, degrees), torch.stack(wanted))


@pytest.mark.parametrize("turn", [-0.5, -0.213, 0.0, 1e-9, 0.1, 1 / 3, 0.5])
@pytest.mark.parametrize("other", [0, 1, 128, 255])
def test_hue_is_torchvisions_for_all_pairs_of_channels(other: int, turn: float) -> None:
    first, second = torch.meshgrid(torch.arange(256), torch.arange(256), indexing="ij")
    planes = torch.stack([first, second, torch.full_like(first, other)]).to(torch.uint8)
    images = torch.stack([planes.roll(shift, 0) for shift in range(3)])
    wanted = torch.stack([vision.adjust_hue(image, turn) for image in images])
    assert torch.equal(hue(images, [turn] * 3), wanted)


def test_each_image_is_turned_in_hue_by_its_own_part() -> None:
    images, turns = noise(40, 3, (31, 45)), torch.linspace(-0.5, 0.5, 40).tolist()
    wanted = [vision.adjust_hue(image, turn) for image, turn in zip(images, turns, strict=True)]
    assert torch.equal(hue(images, turns), torch.stack(wanted))
    assert torch.equal(hue(images[:, :1], turns), images[:, :1])


@pytest.mark.parametrize("name", ["brightness", "saturation", "contrast", "sharpness"])
def test_large_factors_and_small_images_are_torchvisions(name: str) -> None:
    factors = [0.0, 0.5, 1.0, 3.0, 51.0]
    for size in [(2, 8), (4, 4), (16, 3)]:
        images = noise(len(factors), 3, size)
        adjust = getattr(vision, f"adjust_{name}")
        wanted = [adjust(image, factor) for image, factor in zip(images, factors, strict=True)]
        assert torch.equal(getattr(colour, name)(images, factors), torch.stack(wanted))


@pytest.mark.parametrize("name", ["contrast", "saturation"])
def test_values_behind_the_last_whole_vector_hardly_ever_differ_and_then_by_one(name: str) -> None:
    factors = torch.linspace(0.01, 1.99, 5_000).tolist()
    images = noise(len(factors), 3, (3, 3))
    adjust = getattr(vision, f"adjust_{name}")
    wanted = torch.stack([adjust(image, factor) for image, factor in zip(images, factors, strict=True)])
    difference = (getattr(colour, name)(images, factors).int() - wanted.int()).abs()
    assert difference.max() <= 1
    # Measured over 502,200 values: 0.00016 for contrast, 0 for saturation.
    assert difference.float().mean() < 0.0005


def test_contrast_is_torchvisions_where_the_sum_of_the_pixels_exceeds_whole_numbers_of_float32() -> None:
    images = 200 + noise(4, 3, (304, 304)) // 5
    assert images[0, 0].sum() > 2**24
    factors = [0.1, 0.7, 1.3, 1.9]
    wanted = [vision.adjust_contrast(image, factor) for image, factor in zip(images, factors, strict=True)]
    assert torch.equal(colour.contrast(images, factors), torch.stack(wanted))


def plus(images: Tensor, numbers: list[float]) -> Tensor:
    return images + torch.tensor(numbers, dtype=torch.uint8).view(-1, 1, 1, 1)


def times(images: Tensor, numbers: list[float]) -> Tensor:
    return images * torch.tensor(numbers, dtype=torch.uint8).view(-1, 1, 1, 1)


@pytest.mark.parametrize("size", [(4, 4), (2, 2), (3, 5)], ids=["whole words", "half a word", "bytes"])
@pytest.mark.parametrize("cached", [1, 40, 10_000], ids=["one by one", "in twos", "all at once"])
def test_each_image_gets_its_change_and_its_number(
    size: tuple[int, int], cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "CACHED_PIXELS", cached)
    images = noise(7, 3, size)
    wanted = [images[0] + 1, images[1] * 2, images[2] * 3, images[3] + 4, images[4] + 5, images[5] + 6, images[6] * 7]
    change_each(images, [plus, times], [0, 1, 1, 0, 0, 0, 1], [1, 2, 3, 4, 5, 6, 7])
    assert torch.equal(images, torch.stack(wanted))

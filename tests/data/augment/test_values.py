"""Normalising, erasing, mixing and torchvision's policies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import ResNet50_Weights
from torchvision.transforms import v2

from spdbuild.data import DATASETS
from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.data.augment.normalize import STATISTICS
from spdbuild.data.draws import Draws, generator
from spdbuild.errors import ArgumentError


def draws(count: int) -> Draws:
    return Draws(generator("test"), count)


def two_colours(count: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Black and white images in turn, with labels of two classes."""
    white = torch.arange(count) % 2
    return (white * 255).to(torch.uint8).view(-1, 1, 1, 1).repeat(1, 3, 16, 16), torch.eye(2)[white]


def test_normalize_is_torchvisions() -> None:
    images = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    wanted = v2.functional.normalize(images / 255, [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616])
    changed, _ = AUGMENTATIONS["normalize"](statistics="cifar10")(images, torch.zeros(5), draws(5))
    torch.testing.assert_close(changed, wanted)


def test_tiny_imagenets_released_numbers_are_on_the_scale_of_255() -> None:
    images = torch.full((1, 3, 1, 1), 200, dtype=torch.uint8)
    changed, _ = AUGMENTATIONS["normalize"](statistics="tiny_imagenet")(images, torch.zeros(1), draws(1))
    wanted = (200 - np.array([122.4786, 114.2755, 101.3963])) / np.array([70.4924, 68.5679, 71.8127])
    np.testing.assert_allclose(changed.flatten().numpy(), wanted, rtol=1e-5)


def test_the_numbers_of_imagenet_are_torchvisions() -> None:
    published = ResNet50_Weights.DEFAULT.transforms()
    assert [list(numbers) for numbers in STATISTICS["imagenet"]] == [published.mean, published.std]


def test_the_numbers_of_digits_are_those_of_its_training_images() -> None:
    pixels = DATASETS["digits"]().open("train").images.numpy() / 255
    mean, std = STATISTICS["digits"]
    assert pixels.mean() == pytest.approx(mean[0], abs=5e-5)
    assert pixels.std() == pytest.approx(std[0], abs=5e-5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "normalize needs either statistics or both mean and std"),
        ({"mean": (0.5, 0.5, 0.5)}, "normalize needs either statistics or both mean and std"),
        ({"mean": (0.5, 0.5, 0.5), "std": (1.0, 0.0, 1.0)}, "std must be more than 0, got 0.0"),
        ({"mean": (-0.1, 0.5, 0.5), "std": (1.0, 1.0, 1.0)}, "mean must be at least 0, got -0.1"),
        (
            {"mean": (122.0, 114.0, 101.0), "std": (70.0, 69.0, 72.0)},
            "mean must be at most 1, got 122\n"
            "      = hint: divide numbers for pixels of 0..255 by 255: mean: [0.4784, 0.4471, 0.3961]",
        ),
        (
            {"mean": (0.5, 0.5, 0.5), "std": (70.0, 69.0, 72.0)},
            "std must be at most 1, got 72\n"
            "      = hint: divide numbers for pixels of 0..255 by 255: std: [0.2745, 0.2706, 0.2824]",
        ),
    ],
    ids=["nothing", "half", "zero", "negative", "mean of 255", "std of 255"],
)
def test_normalize_refuses_numbers_it_cannot_use(arguments: dict[str, tuple[float, ...]], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        AUGMENTATIONS["normalize"](**arguments)
    assert str(caught.value) == f"error: {text}"


def test_erasing_hides_rectangles_of_the_area_asked_for() -> None:
    images = torch.full((500, 3, 40, 40), 9, dtype=torch.uint8)
    erased, _ = AUGMENTATIONS["random_erasing"](probability=0.5)(images, torch.zeros(500), draws(500))
    hidden = (erased[:, 0] == 0).numpy()
    areas = hidden.mean((1, 2))
    assert 0.4 < (areas > 0).mean() < 0.6
    # A side is a whole number of pixels, so an area is a little outside its bounds.
    assert 0.015 < areas[areas > 0].min() < 0.05 < 0.3 < areas.max() < 0.36
    for image in hidden[areas > 0]:
        assert image.sum() == image.any(0).sum() * image.any(1).sum(), "not a rectangle"


def test_erased_rectangles_have_the_value_and_the_ratio_asked_for_and_lie_anywhere() -> None:
    # Of 1,600 pixels 64, 4 times as high as wide: 16 rows of 4.
    erase = AUGMENTATIONS["random_erasing"](probability=1.0, area=(0.04, 0.04), ratio=(4.0, 4.0), value=7.0)
    erased, _ = erase(torch.full((500, 3, 40, 40), 9, dtype=torch.uint8), torch.zeros(500), draws(500))
    assert (erased == 7).flatten(1).sum(1).tolist() == [3 * 16 * 4] * 500
    rows, columns = (erased[:, 0] == 7).any(2).int(), (erased[:, 0] == 7).any(1).int()
    assert (rows.sum(1).unique().tolist(), columns.sum(1).unique().tolist()) == ([16], [4])
    assert rows.argmax(1).unique().tolist() == list(range(25))
    assert columns.argmax(1).unique().tolist() == list(range(37))


def test_what_is_erased_from_an_oblong_image_has_its_own_ratio() -> None:
    # Of 2,000 pixels 64, 4 times as high as wide: 16 rows of 4, wherever the longer side of the image is.
    erase = AUGMENTATIONS["random_erasing"](probability=1.0, area=(0.032, 0.032), ratio=(4.0, 4.0))
    for height, width in ((20, 100), (100, 20)):
        erased, _ = erase(torch.full((500, 3, height, width), 9, dtype=torch.uint8), torch.zeros(500), draws(500))
        rows, columns = (erased[:, 0] == 0).any(2).int(), (erased[:, 0] == 0).any(1).int()
        assert (rows.sum(1).unique().tolist(), columns.sum(1).unique().tolist()) == ([16], [4])
        assert (rows.argmax(1).max(), columns.argmax(1).max()) == (height - 16, width - 4)


def test_the_cut_of_an_oblong_image_has_its_proportions() -> None:
    images, labels = two_colours(400)
    mixed, mixed_labels = AUGMENTATIONS["cutmix"]()(images.repeat(1, 1, 5, 1), labels, draws(400))
    torch.testing.assert_close((mixed[:, 0] == 255).float().mean((1, 2)), mixed_labels[:, 1])
    cut = mixed[:, 0] != images[:, 0, :1, :1]
    rows, columns = cut.any(2).sum(1), cut.any(1).sum(1)
    # Those that touch no edge are whole: as high and wide, in parts of the sides, up to the rounding of pixels.
    inside = ~(cut[:, [0, -1]].any(2).any(1) | cut[:, :, [0, -1]].any(1).any(1)) & (columns > 0)
    assert inside.sum() > 20
    assert ((rows / 5 - columns)[inside].abs() <= 1.2).all()


def test_mixup_mixes_pixels_and_labels_in_one_proportion() -> None:
    images, labels = two_colours()
    mixed, mixed_labels = AUGMENTATIONS["mixup"](alpha=1.0)(images, labels, draws(64))
    torch.testing.assert_close(mixed[:, 0, 0, 0], mixed_labels[:, 1])
    # Beta(1, 1) is uniform: mean 1/2, deviation 0.29.
    own = (mixed_labels * labels).sum(1)
    assert own.mean().item() == pytest.approx(0.5, abs=0.1)
    assert own.std().item() == pytest.approx(0.29, abs=0.06)


def test_cutmix_labels_are_the_parts_of_the_image() -> None:
    images, labels = two_colours()
    mixed, mixed_labels = AUGMENTATIONS["cutmix"]()(images, labels, draws(64))
    torch.testing.assert_close((mixed[:, 0] == 255).float().mean((1, 2)), mixed_labels[:, 1])
    assert mixed.dtype == torch.uint8
    assert mixed_labels[:, 1].unique().numel() > 20


def test_the_sides_of_a_cut_are_the_root_of_its_area() -> None:
    # A part u, uniform for alpha 1, has sides s = sqrt(u) (section 3.1). Clipped at the edges, of centres anywhere, a
    # side is s - s * s / 4 long on average, and the cut the integral of its square over u: 0.3208.
    images, labels = two_colours(4000)
    _, mixed = AUGMENTATIONS["cutmix"]()(images, labels, draws(4000))
    assert 1 - (mixed * labels).sum(1).mean().item() == pytest.approx(2 * (1 / 4 - 1 / 10 + 1 / 96), abs=0.015)


def test_mixup_or_cutmix_gives_each_its_own_alpha() -> None:
    images, labels = two_colours(400)
    mix = AUGMENTATIONS["mixup_or_cutmix"](mixup_alpha=1000.0, cutmix_alpha=1e-3)
    mixed, mixed_labels = mix(images, labels, draws(400))
    own = (mixed_labels * labels).sum(1)
    blended = ((mixed > 0) & (mixed < 1)).flatten(1).any(1)
    # Beta(1000, 1000) is 1/2 to within a tenth; Beta(0.001, 0.001) is nearly always 0, or 1, at which nothing is cut.
    assert ((own[blended] - 0.5).abs() < 0.1).all()
    assert 0.4 < (own[~blended] == 1).double().mean() < 0.6


def test_mixup_or_cutmix_does_either_for_each_sample() -> None:
    images, labels = two_colours()
    mixed, mixed_labels = AUGMENTATIONS["mixup_or_cutmix"](mixup_alpha=1.0)(images, labels, draws(64))
    torch.testing.assert_close(mixed[:, 0].mean((1, 2)), mixed_labels[:, 1])
    blended = ((mixed > 0) & (mixed < 1)).flatten(1).any(1)
    assert 16 <= blended.sum() <= 48


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_without_probability_nothing_is_mixed(name: str) -> None:
    images, labels = two_colours()
    mixed, mixed_labels = AUGMENTATIONS[name](probability=0.0)(images, labels, draws(64))
    torch.testing.assert_close(mixed[:, 0, 0, 0].float() / mixed.max(), labels[:, 1])
    assert torch.equal(mixed_labels, labels)


@pytest.mark.parametrize("name", ["trivial_augment", "rand_augment", "color_jitter"])
def test_policies_refuse_normalised_images(name: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        AUGMENTATIONS[name].example()(torch.zeros(2, 3, 8, 8), torch.zeros(2), draws(2))
    assert str(caught.value) == (
        f"error: {name} works on pixels from 0 to 255 and got float32\n"
        f"      = hint: put {name} before normalize, mixup and cutmix"
    )


def test_a_policy_draws_for_each_image() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(32, 3, 1, 1)
    changed, _ = AUGMENTATIONS["trivial_augment"]()(images, torch.zeros(32), draws(32))
    assert len({image.numpy().tobytes() for image in changed}) > 10

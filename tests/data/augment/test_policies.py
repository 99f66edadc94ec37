"""What the policies and color_jitter draw, and how often."""

from __future__ import annotations

import colorsys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as vision

from spdbuild.data.augment import AUGMENTATIONS
from spdbuild.data.draws import Draws, generator

#: The numbers of a policy's drawn operations that torchvision has for one image, each with its probability.
Results = dict[bytes, float]


def image(seed: int = 0) -> Tensor:
    """Of a size at which no slope takes a pixel from just between two others, where processors differ."""
    return torch.randint(256, (3, 8, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def augmented(augmentation: Any, images: Tensor, seed: str = "test") -> Tensor:
    changed, _ = augmentation(images, torch.zeros(len(images)), Draws(generator(seed), len(images)))
    return changed


def once(policy: Any, strengths: list[int], one: Tensor) -> Iterator[tuple[Tensor, float]]:
    """Every result of one of torchvision's operations on an image, with its probability."""
    for name, (magnitudes_of, signed) in policy._AUGMENTATION_SPACE.items():
        magnitudes = magnitudes_of(31, *one.shape[-2:])
        chosen = [0.0] if magnitudes is None else [float(magnitudes[strength]) for strength in strengths]
        both = [sign * magnitude for magnitude in chosen for sign in ((1, -1) if signed else (1,))]
        for magnitude in both:
            changed = policy._apply_image_or_video_transform(one, name, magnitude, policy.interpolation, policy._fill)
            yield changed, 1 / len(policy._AUGMENTATION_SPACE) / len(both)


def wide_results() -> Results:
    results: Results = defaultdict(float)
    for changed, probability in once(v2.TrivialAugmentWide(), list(range(31)), image()):
        results[changed.numpy().tobytes()] += probability
    return results


def results_of_two() -> Results:
    results: Results = defaultdict(float)
    for changed, first in once(v2.RandAugment(), [20], image()):
        for twice, second in once(v2.RandAugment(), [20], changed):
            results[twice.numpy().tobytes()] += first * second
    return results


@pytest.mark.parametrize(
    ("name", "options", "results_of"),
    [("trivial_augment", {}, wide_results), ("rand_augment", {"operations": 2, "magnitude": 20}, results_of_two)],
    ids=["trivial_augment", "rand_augment"],
)
def test_a_policy_gives_what_torchvisions_gives_and_as_often(
    name: str, options: dict[str, int], results_of: Callable[[], Results]
) -> None:
    count, results = 20_000, results_of()
    changed = augmented(AUGMENTATIONS[name](**options), image().expand(count, -1, -1, -1))
    seen = Counter(one.numpy().tobytes() for one in changed)
    assert set(seen) <= set(results)
    assert sum(results.values()) == pytest.approx(1)
    squares = sum((seen[key] - count * part) ** 2 / (count * part) for key, part in results.items())
    # Chi-square has as its mean the number of results less one, and a deviation of the root of twice that.
    free = len(results) - 1
    assert abs(squares - free) < 4 * (2 * free) ** 0.5


def test_no_operations_change_nothing() -> None:
    images = torch.stack([image(seed) for seed in range(4)])
    assert torch.equal(augmented(AUGMENTATIONS["rand_augment"](operations=0), images), images)


@pytest.mark.parametrize("name", ["trivial_augment", "rand_augment", "color_jitter"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_order_in_memory_does_not_matter(name: str, channels: int) -> None:
    images = torch.stack([image(seed) for seed in range(20)])[:, :channels]
    one, other = (augmented(AUGMENTATIONS[name].example(), images.contiguous(memory_format=order)) for order in ORDERS)
    assert torch.equal(one, other)


ORDERS = [torch.contiguous_format, torch.channels_last]


def test_color_jitter_is_torchvisions_adjustments_in_an_order_of_each_image() -> None:
    images = torch.stack([image(seed) for seed in range(200)])
    changed = augmented(AUGMENTATIONS["color_jitter"](brightness=0.4, contrast=1.5, saturation=0.3, hue=0.2), images)
    draws = Draws(generator("test"), len(images))
    adjust = vision.adjust_brightness, vision.adjust_contrast, vision.adjust_saturation, vision.adjust_hue
    ends = (0.6, 1.4), (0.0, 2.5), (0.7, 1.3), (-0.2, 0.2)
    numbers = [draws.uniform(*pair).tolist() for pair in ends]
    orders = [list(permutations(range(4)))[index] for index in draws.integers(24).tolist()]
    assert len(set(orders)) == 24
    for row, (wanted, order) in enumerate(zip(images, orders, strict=True)):
        for index in order:
            wanted = adjust[index](wanted, numbers[index][row])
        assert torch.equal(changed[row], wanted)


def test_color_jitter_makes_only_the_adjustments_asked_for() -> None:
    images = torch.stack([image(seed) for seed in range(20)])
    changed = augmented(AUGMENTATIONS["color_jitter"](saturation=0.5), images)
    factors = Draws(generator("test"), 20).uniform(0.5, 1.5).tolist()
    wanted = [vision.adjust_saturation(one, factor) for one, factor in zip(images, factors, strict=True)]
    assert torch.equal(changed, torch.stack(wanted))
    assert torch.equal(augmented(AUGMENTATIONS["color_jitter"](), images), images)


def test_brightness_is_uniform_around_one_and_never_below_zero() -> None:
    grey = torch.full((10_000, 3, 1, 1), 100, dtype=torch.uint8)
    levels = augmented(AUGMENTATIONS["color_jitter"](brightness=0.5), grey)[:, 0, 0, 0]
    tens = torch.bincount((levels.long() - 50) // 10, minlength=10)
    # 1,000 in each of ten, with a deviation of 30.
    assert tens.shape == (10,)
    assert 900 < tens.min() < tens.max() < 1100
    assert augmented(AUGMENTATIONS["color_jitter"](brightness=2.0), grey).min() == 0


def test_hue_turns_red_both_ways_by_no_more_than_its_part_of_the_circle() -> None:
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1_000, 3, 1, 1)
    changed = augmented(AUGMENTATIONS["color_jitter"](hue=0.1), red).flatten(1) / 255
    hues = [(colorsys.rgb_to_hsv(*pixel)[0] + 0.5) % 1 - 0.5 for pixel in changed.tolist()]
    assert -0.101 < min(hues) < -0.097
    assert 0.097 < max(hues) < 0.101


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["trivial_augment", "rand_augment", "color_jitter"])
def test_a_gpu_gives_the_same_pixels_but_for_roundings(name: str) -> None:
    images = torch.stack([image(seed) for seed in range(500)])
    draws = Draws(generator("test"), len(images), device="cuda")
    changed, _ = AUGMENTATIONS[name].example()(images.cuda(), torch.zeros(len(images)).cuda(), draws)
    differs = changed.cpu() != augmented(AUGMENTATIONS[name].example(), images)
    # A place halfway between two pixels takes either.
    assert differs.float().mean() < 0.02

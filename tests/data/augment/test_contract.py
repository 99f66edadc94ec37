"""What holds for every registered augmentation."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from spdbuild.data.augment import AUGMENTATIONS, Augmentation
from spdbuild.data.draws import Draws, generator
from spdbuild.errors import ArgumentError

NAMES = sorted(AUGMENTATIONS)


def batch(count: int = 16) -> tuple[Tensor, Tensor]:
    stream = torch.Generator().manual_seed(3)
    images = torch.randint(256, (count, 3, 12, 12), dtype=torch.uint8, generator=stream)
    return images, torch.eye(count)


def run(augmentation: Augmentation, images: Tensor, labels: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
    return augmentation(images, labels, Draws(generator(seed), len(images)))


def test_all_are_found() -> None:
    assert {"random_crop", "horizontal_flip", "normalize", "mixup", "trivial_augment"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_its_example_changes_images_and_keeps_their_number(name: str) -> None:
    images, labels = batch()
    changed, changed_labels = run(AUGMENTATIONS[name].example(), images, labels)
    assert changed.shape[:2] == images.shape[:2]
    assert changed_labels.shape == labels.shape
    assert changed.shape != images.shape or not torch.equal(changed, images)


@pytest.mark.parametrize("name", NAMES)
def test_it_leaves_the_given_batch_as_it_was(name: str) -> None:
    images, labels = batch()
    run(AUGMENTATIONS[name].example(), images, labels)
    assert torch.equal(images, batch()[0])
    assert torch.equal(labels, batch()[1])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_draws_give_the_same_batch(name: str) -> None:
    one, other = (run(AUGMENTATIONS[name].example(), *batch(), seed=5) for _ in range(2))
    assert torch.equal(one[0], other[0])
    assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("name", [name for name in NAMES if not AUGMENTATIONS[name].mixes])
@pytest.mark.parametrize("rows", [[3], [1, 6, 11], list(range(0, 16, 2))], ids=len)
def test_a_part_of_the_batch_gets_what_it_gets_in_the_whole(name: str, rows: list[int]) -> None:
    (images, labels), part = batch(), torch.tensor(rows)
    whole, _ = run(AUGMENTATIONS[name].example(), images, labels)
    changed, _ = AUGMENTATIONS[name].example()(images[part], labels[part], Draws(generator(0), 16, part))
    assert torch.equal(changed, whole[part])


@pytest.mark.parametrize("name", ["color_jitter", "rand_augment", "random_resized_crop", "rotation", "trivial_augment"])
def test_numbers_for_python_do_not_leave_the_cpu(name: str) -> None:
    """What has been on the device "meta" cannot come back."""
    images, labels = batch()
    elsewhere = Draws(generator(0), len(images), device="meta")
    changed, _ = AUGMENTATIONS[name].example()(images, labels, elsewhere)
    assert torch.equal(changed, run(AUGMENTATIONS[name].example(), images, labels)[0])


@pytest.mark.parametrize("name", NAMES)
def test_other_draws_give_another_batch_only_if_it_is_random(name: str) -> None:
    one, other = (run(AUGMENTATIONS[name].example(), *batch(), seed=seed) for seed in (5, 6))
    assert torch.equal(one[0], other[0]) is not AUGMENTATIONS[name].random


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_none_stays_one(name: str) -> None:
    images, labels = batch()
    nothing = Draws(generator(0), 16, torch.tensor([], dtype=torch.long))
    changed, changed_labels = AUGMENTATIONS[name].example()(images[:0], labels[:0], nothing)
    assert len(changed) == len(changed_labels) == 0


@pytest.mark.parametrize("name", NAMES)
def test_labels_change_only_where_samples_are_mixed(name: str) -> None:
    augmentation = AUGMENTATIONS[name].example()
    images, labels = batch()
    _, changed = run(augmentation, images, labels)
    assert torch.equal(changed, labels) is not augmentation.mixes
    torch.testing.assert_close(changed.sum(1), torch.ones(len(labels)))


@pytest.mark.parametrize("name", NAMES)
def test_its_docstring_says_what_it_does(name: str) -> None:
    doc = AUGMENTATIONS[name].__doc__
    assert doc
    assert not doc.startswith(AUGMENTATIONS[name].__name__)


#: By the start of a field's type, values that make no sense, or hardly any.
WRONG: dict[str, tuple[Any, ...]] = {
    "int": (-1, 0, 50),
    "Size": (-1, 0, 50, (0, 5), (5, -1), (5, 50), (50, 5), (7, 3)),
    "float": (-1.0, 0.0, 1e-30, 50.0, math.nan, math.inf),
    "tuple[float, float]": ((-1.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.5, 50.0), (math.nan, 1.0), (1.0, math.inf)),
    "Channels": ((0.5, -1.0, 0.5), (0.5, 0.0, 0.5), (0.5, math.nan, 0.5)),
}
OPTIONS = [(name, field) for name in NAMES for field in dataclasses.fields(AUGMENTATIONS[name])]
NUMBERS = [(name, f.name, kind) for name, f in OPTIONS for kind in WRONG if str(f.type).startswith(kind)]


@pytest.mark.parametrize(("name", "option", "kind"), NUMBERS)
def test_whatever_number_is_written_is_refused_or_works(name: str, option: str, kind: str) -> None:
    for value in WRONG[kind]:
        result = written(name, option, value)
        if isinstance(result, ArgumentError):
            assert option == result.argument or option in str(result)
            continue
        assert result[0].to(torch.float32).isfinite().all()
        torch.testing.assert_close(result[1].sum(1), torch.ones(16))


def written(name: str, option: str, value: Any) -> tuple[Tensor, Tensor] | ArgumentError:
    """A batch behind an augmentation with one option, or why there is none."""
    grey: dict[str, Any] = {"statistics": None, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    others = grey if name == "normalize" else {}
    try:
        return run(dataclasses.replace(AUGMENTATIONS[name].example(), **{**others, option: value}), *batch())
    except ArgumentError as error:
        return error


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("mixup", "alpha", 0.0),
        ("cutmix", "alpha", -1.0),
        ("rand_augment", "magnitude", 50),
        ("random_erasing", "ratio", (0.0, 1.0)),
        ("color_jitter", "hue", 0.9),
        ("resize", "size", 0),
        ("resize", "size", (8, 0)),
        ("horizontal_flip", "probability", 1.5),
        ("random_resized_crop", "area", (0.9, 0.1)),
    ],
)
def test_a_number_out_of_range_is_refused_when_the_recipe_is_read(name: str, option: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=option):
        dataclasses.replace(AUGMENTATIONS[name].example(), **{option: value})

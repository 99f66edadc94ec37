"""What holds for every registered augmentation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from spdbuild.data.augment import AUGMENTATIONS, Augmentation
from spdbuild.data.draws import Draws, generator

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

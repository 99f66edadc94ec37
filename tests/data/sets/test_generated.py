from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from spdbuild.data import ArrayImages
from spdbuild.data.sets.generated import Generated
from spdbuild.errors import ArgumentError, DataError
from spdbuild.system import memory


def test_the_same_seed_gives_the_same_images_and_another_one_others() -> None:
    first, again, other = (Generated(seed=seed, train=90).open("train").images for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_splits_are_disjoint() -> None:
    train, test = (
        {image.numpy().tobytes() for image in Generated(train=450, test=450).open(split).images}
        for split in ("train", "test")
    )
    assert len(train) == len(test) == 450
    assert not train & test


def test_classes_are_equally_frequent() -> None:
    images = Generated(classes=4, train=100).open("train")
    assert images.labels.bincount().tolist() == [25] * 4
    assert images.classes == ("columns columns", "columns rows", "columns checks", "rows columns")


def test_images_may_be_oblong() -> None:
    wide = Generated(size=(16, 40), train=450).open("train").images
    assert wide.shape == (450, 3, 16, 40)
    # The textures, 12 pixels wide and 6 high, lie anywhere: neighbours differ in the first and the last columns, too.
    steps = (wide[..., 1:].int() - wide[..., :-1].int()).abs().amax((0, 1))
    assert steps.shape == (16, 39)
    assert steps.min() > 40


def test_one_number_is_height_and_width() -> None:
    assert torch.equal(Generated(size=20).open("train").images, Generated(size=(20, 20)).open("train").images)


def strongest_texture(images: np.ndarray) -> np.ndarray:
    """0 columns, 1 rows, 2 checks: the largest response of a 6x6 matched filter anywhere; in numpy, by hand."""
    grey = images.mean(1)
    signs = (-1.0) ** np.arange(6)
    filters = [np.tile(signs, (6, 1)), np.tile(signs[:, None], (1, 6)), np.outer(signs, signs)]
    patches = np.lib.stride_tricks.sliding_window_view(grey, (6, 6), axis=(1, 2))
    responses = [np.abs(np.einsum("nhwij,ij->nhw", patches, kernel)).max((1, 2)) for kernel in filters]
    return np.argmax(responses, axis=0)


def equal_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Images whose two cells have one texture, and which that is."""
    data: ArrayImages = Generated(train=900).open("train")
    chosen = np.isin(data.labels.numpy(), (0, 4, 8))
    return data.images.numpy()[chosen].astype(float), data.labels.numpy()[chosen] // 4


def test_the_pixels_tell_the_classes_apart() -> None:
    images, textures = equal_pairs()
    assert (strongest_texture(images) == textures).mean() > 0.95


def test_every_other_pixel_does_not() -> None:
    """Chance is 1/3, and its deviation 0.027 for 300 images."""
    images, textures = equal_pairs()
    skipped = np.repeat(np.repeat(images[..., ::2, ::2], 2, axis=2), 2, axis=3)
    for seen in (images[..., ::2, ::2], skipped):
        assert (strongest_texture(seen) == textures).mean() < 0.42


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"classes": 10}, "classes must be between 2 and 9, got 10"),
        ({"size": 8}, "size must be at least 16, got 8"),
        ({"size": (32, 15)}, "size must be at least 16, got 15"),
        ({"test": 3}, "test must be at least 9, one image a class, got 3"),
    ],
    ids=["classes", "size", "width", "test"],
)
def test_what_cannot_be_generated_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        Generated(**fields)
    assert str(caught.value) == f"error: {text}"


def test_more_than_fits_into_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    with pytest.raises(DataError) as caught:
        Generated(train=100_000_000).open("train")
    assert str(caught.value) == (
        "error: 100,000,000 generated images of 32x32 pixels need 3,433.2 GiB of memory, and 1.0 GiB are free\n"
        "      = hint: a smaller train or size"
    )

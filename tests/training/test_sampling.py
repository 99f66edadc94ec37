"""Runs whose images are drawn more or less often by their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from spdbuild.data import ArrayImages
from spdbuild.data.detection.tiles import TileOptions
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import RecipeError
from spdbuild.training.detection.images import DetectionImages
from spdbuild.training.recipe import load_recipe
from spdbuild.training.recipe.recipe import Recipe
from spdbuild.training.running.run import train
from spdbuild.training.task import TASKS, Task


@pytest.fixture
def uneven(recipe: Path, tmp_path: Path) -> Path:
    """The recipe of conftest.py with a folder of 40 light and 4 dark images in place of the digits."""
    for label, count, grey in (("light", 40, 200), ("dark", 4, 50)):
        for split in ("train", "test"):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(folder / f"{number}.png")
    text = recipe.read_text().replace("{name: digits}", f"{{name: folder, root: {tmp_path / 'images'}}}")
    recipe.write_text(text.replace("batch: 128", "batch: 11").replace("[{name: random_crop, padding: 1}]", "[]"))
    return recipe


def labels_of(recipe: Recipe, *, training: bool) -> Tensor:
    images = recipe.task.open(recipe, "train" if training else "test")
    batches = recipe.task.batches(recipe, images, training=training, rank=0, world=1, device=torch.device("cpu"))
    return torch.cat([labels for _, labels in batches])


def test_an_epoch_of_training_has_each_class_equally_often_and_one_of_evaluation_every_image_once(uneven: Path) -> None:
    recipe = load_recipe(uneven, ["sampling=balanced"])
    assert labels_of(recipe, training=True).bincount().tolist() == [22, 22]
    assert labels_of(recipe, training=False).bincount().tolist() == [4, 40]
    assert labels_of(load_recipe(uneven), training=True).bincount().tolist() == [4, 40]


def test_the_log_of_a_run_says_how_often_it_has_an_image(uneven: Path, tmp_path: Path) -> None:
    folder = train(uneven, ["sampling=balanced", "epochs=1"], runs=tmp_path / "runs", quiet=True).folder
    said = "sampling: an epoch has an image 0.55 to 5.5 times; the rarest class, 'dark', is in 9.09% of the images"
    assert said in (folder / "log.txt").read_text().splitlines()


def test_a_detector_samples_by_the_objects_that_it_learns() -> None:
    images = DetectionImages(TinyObjects(images=30, size=64).open("train"), 64)
    found = TASKS["detection"]().occurrences(images)
    objects, dataset = images.dataset.objects, images.dataset
    expected = {
        (image, int(objects.classes[row]))
        for image in range(30)
        for row in range(dataset.first[image], dataset.first[image + 1])
        if dataset.trainable[row]
    }
    assert set(zip(found.images.tolist(), found.classes.tolist(), strict=True)) == expected
    assert len(found.images) == len(expected)


def test_a_detector_that_learns_tiles_samples_tiles() -> None:
    images = DetectionImages(TinyObjects(images=4, size=128).open("train"), 64, TileOptions(64)).to_learn()
    found = TASKS["detection"]().occurrences(images)
    assert found.count == len(images) > 4


def test_what_has_no_classes_is_not_sampled_by_them() -> None:
    class Depth(Task):
        name = "depth"

    with pytest.raises(RecipeError, match="the images of depth are not sampled by classes"):
        Depth().occurrences(None)
    mixed = ArrayImages(torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.full((2, 2), 0.5), ("a", "b"))
    with pytest.raises(RecipeError, match="the images of classification are not sampled by classes"):
        TASKS["classification"]().occurrences(mixed)


@pytest.mark.parametrize("key", ["sampler", "class_balanced", "image_weights"])
def test_the_keys_of_other_tools_lead_here(recipe: Path, key: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, [f"{key}=balanced"])
    assert caught.value.problems[0].hint == "did you mean 'sampling'?"

"""Checks of a recipe's `augment` and `preprocess` steps, made before there are any images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from spdbuild.data.augment.augmentation import Augmentation
from spdbuild.data.augment.normalize import Normalize
from spdbuild.data.draws import Draws, generator
from spdbuild.errors import RecipeError, SpdbuildError
from spdbuild.training.recipe.places import Placed

#: A side in pixels that no image exceeds: what fails for it fails for the images of all data.
_LARGEST = 2**16

#: The steps under each key of a recipe, in the order in which training images go through them.
Steps = Mapping[str, Sequence[Augmentation]]


def check_kinds(steps: Steps, recipe: Placed) -> None:
    """Refuse steps that would make evaluation random, or its images unlike those of training; raises RecipeError."""
    for index, step in enumerate(steps["preprocess"]):
        if step.random:
            message = f"'{step.name}' is random, and preprocess is for evaluation too"
            place = recipe.place(f"preprocess.{index}.name", "preprocess")
            raise RecipeError(message, location=place, hint="put it under augment, which is for training images alone")
    for index, step in enumerate(steps["augment"]):
        if isinstance(step, Normalize):
            message = "'normalize' under augment leaves the images of evaluation as they are"
            place = recipe.place(f"augment.{index}.name", "augment")
            raise RecipeError(message, location=place, hint="put it under preprocess, which is for all images")


def check_steps(steps: Steps, recipe: Placed, size: tuple[int, int] | None) -> None:
    """Refuse steps that do not fit together, or that do not fit images of `size` (height, width).

    Raises RecipeError with the place of the step.
    """
    # Without a size the batch is empty, so that the largest images cost no memory; every step keeps it empty.
    rows = torch.arange(0 if size is None else 1)
    images = torch.zeros(len(rows), 3, *(size or (_LARGEST, _LARGEST)), dtype=torch.uint8)
    labels = torch.ones(len(rows), 1)
    draws = Draws(generator("augment"), 1, rows)
    for key, listed in steps.items():
        for index, step in enumerate(listed):
            place = f"{key}.{index}"
            try:
                with recipe.about(place, key, arguments=place):
                    images, labels = step(images, labels, draws)
            except SpdbuildError as error:
                raise RecipeError.gather(error.problems) from None

"""The images of a run, and their batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from spdbuild.data.dataset import require_same_classes
from spdbuild.errors import DataError
from spdbuild.system.files import regular
from spdbuild.training.processes.distributed import Processes
from spdbuild.training.recipe import Recipe
from spdbuild.training.task import Batches
from spdbuild.wording.quantities import shapes_text

#: About so many files have their length looked up, which takes a moment each on a network's drive.
_MEASURED = 10_000


@dataclass(frozen=True)
class RunData:
    """What a run is trained and evaluated on.

    train_images, test_images: as the task opens them; test_images are those that are evaluated after an epoch.
    train_batches, test_batches: this process's share of their batches.
    size: height and width of the network's input for each image; None if only the recipe determines it.
    """

    train_images: Any
    test_images: Any
    train_batches: Batches
    test_batches: Batches
    size: tuple[int, int] | None

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.train_images.classes)

    def described(self) -> dict[str, dict[str, int | str]]:
        """What a report on several runs tells the images of each by: their number, and their `fingerprint`."""
        splits = {"trained_on": self.train_images, "evaluated_on": self.test_images}
        return {name: described_images(images) for name, images in splits.items()}

    def facts(self) -> dict[str, dict[str, Any]]:
        """What must not change when a run is resumed, by split."""
        splits = {"train on": self.train_images, "evaluate on": self.test_images}
        return {
            name: {"images": len(images), "classes": list(images.classes), "digest": getattr(images, "digest", "")}
            for name, images in splits.items()
        }

    def require(self, before: dict[str, Any], hint: str) -> None:
        """Refuse data that differ from `before`, the facts with which the run began; raises DataError.

        hint: what to do instead.
        """
        for name, now in self.facts().items():
            then = before[name]
            if now["classes"] != then["classes"]:
                raise DataError(f"the images to {name} have other classes than when the run began", hint=hint)
            if now["images"] != then["images"]:
                message = f"there are {now['images']:,} images to {name}, and {then['images']:,} when the run began"
                raise DataError(message, hint=hint)
            if now["digest"] != then["digest"]:
                message = f"the images to {name} have other names, labels or pixels than when the run began"
                raise DataError(message, hint=hint)


def described_images(images: Any) -> dict[str, int | str]:
    """The number of images and of their classes, and their `fingerprint`."""
    return {"images": len(images), "classes": len(images.classes), "digest": fingerprint(images)}


def fingerprint(images: Any) -> str:
    """A digest of images, wherever they are stored; empty if they have none.

    Their own digest is of names and labels if they are in files. So that a processed copy of a data set is told from
    the original, the lengths of files spread over all and the content of the first one are added.
    """
    digest: str = getattr(images, "digest", "")
    paths: Sequence[Path] = tuple(dict.fromkeys(getattr(images, "paths", ())))
    if not digest or not paths:
        return digest
    made = hashlib.blake2b(digest.encode(), digest_size=12)
    made.update(repr(list(_lengths(paths[:: max(1, len(paths) // _MEASURED)]))).encode())
    with suppress(OSError):
        made.update(regular(paths[0]).read_bytes())
    return made.hexdigest()


def _lengths(paths: Sequence[Path]) -> Iterator[int]:
    """The length of each file in bytes; -1 if it cannot be found, of which the loader tells when it needs the file."""
    for path in paths:
        try:
            yield path.stat().st_size
        except OSError:
            yield -1


def open_data(recipe: Recipe, processes: Processes, device: torch.device) -> RunData:
    """Open the data of a recipe; raises DataError, and RecipeError for batches that the processes cannot share."""
    task = recipe.task
    with recipe.about("data.root", "data", arguments="data"):
        train_images, test_images = (task.open(recipe, split) for split in task.splits(recipe)[:2])
        train_images = task.to_learn(train_images)
        _require_alike(recipe, train_images, test_images)
    with recipe.about("batch"):
        processes.share(recipe.batch)
        train_batches, test_batches = (
            task.batches(recipe, images, training=training, rank=processes.rank, world=processes.world, device=device)
            for images, training in ((train_images, True), (test_images, False))
        )
    return RunData(train_images, test_images, train_batches, test_batches, task.size(recipe, test_images))


def _require_alike(recipe: Recipe, train_images: Any, test_images: Any) -> None:
    """Refuse evaluation images whose classes or size differ from those of the training images."""
    require_same_classes(train_images.classes, test_images.classes)
    sizes = [getattr(images, "size", None) for images in (train_images, test_images)]
    if sizes[0] != sizes[1]:
        trained, tested = (shapes_text([size[::-1]]) if size else "any" for size in sizes)
        message = f"the images to train on have {trained} pixels, and those to evaluate on {tested}"
        scaled = "give the side in pixels that all shall have, such as data.size: 64"
        raise DataError(message, hint=scaled if hasattr(recipe.data, "size") else "give all images one size")

"""`spdbuild data show`: augmented batches with their boxes or classes, as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from spdbuild.cli.data_commands.target import data_set_alone, recipe_of
from spdbuild.cli.options import PngFile
from spdbuild.cli.output import say
from spdbuild.errors import InputError, nearest

if TYPE_CHECKING:
    from PIL.Image import Image

    from spdbuild.data.detection.table import DetectionSet
    from spdbuild.training.recipe import Recipe

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild data show data.yaml --plain
  spdbuild data show recipes/quickstart.yaml -o digits.png
  spdbuild data show recipes/hit_uav_yolov5n.yaml task.augment.mixup=0.5 --epoch 150
"""


@dataclass(frozen=True)
class _Wanted:
    """Which images of a data set are shown, and how. epoch: counted from 0. size, seed: None if not given."""

    split: str
    plain: bool
    size: int | None
    images: int
    columns: int
    epoch: int
    seed: int | None


@click.command("show", epilog=_EXAMPLES)
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option(
    "-o",
    "--output",
    type=PngFile(),
    metavar="FILE",
    default=Path("gallery.png"),
    show_default=True,
    help="Draw the picture into FILE, a PNG.",
)
@click.option("--split", default="train", show_default=True, help="train, val or test.")
@click.option("--plain", is_flag=True, help="Without augmentation.")
@click.option(
    "--size",
    type=click.IntRange(32, 4096),
    help="Size of a detector's images, a multiple of 32; by default the recipe's, or 640.",
)
@click.option("--images", type=click.IntRange(1, 256), default=16, show_default=True, help="How many.")
@click.option("--columns", type=click.IntRange(1, 32), default=4, show_default=True, help="How many side by side.")
@click.option("--epoch", type=click.IntRange(1), default=1, show_default=True, help="Which epoch's, counted from 1.")
@click.option("--seed", type=int, help="Seed of order and augmentation; by default the recipe's, or 0.")
def command(
    target: str,
    overrides: tuple[str, ...],
    output: Path,
    split: str,
    plain: bool,
    size: int | None,
    images: int,
    columns: int,
    epoch: int,
    seed: int | None,
) -> None:
    """Draw images of TARGET as a network gets them, with their boxes or classes, into a PNG.

    TARGET is a dataset YAML, a folder, the name of a data set, or a recipe: then the first images of an epoch are
    shown as training gets them. FIELD=VALUE sets a field of the data set, or KEY.PATH=VALUE a key of the recipe.
    """
    from spdbuild.pictures.drawing import write_png

    data_set = data_set_alone(target, overrides)
    recipe = recipe_of(target, overrides) if data_set is None else None
    shown = recipe.data if recipe else data_set
    if recipe and epoch > recipe.epochs:
        raise InputError(f"there is no epoch {epoch}: the recipe has {recipe.epochs}", hint=f"--epoch {recipe.epochs}")
    drawn = {"detection": _with_boxes, "classification": _with_classes}
    if shown.task not in drawn:
        raise InputError(f"there is no picture of data sets for {shown.task}")
    draw = drawn[shown.task]
    sheet, count = draw(shown, recipe, _Wanted(split, plain, size, images, columns, epoch - 1, seed))
    write_png(sheet, output)
    click.echo(f"{min(images, count)} images in {output}")


def _with_boxes(data_set: Any, recipe: Recipe | None, wanted: _Wanted) -> tuple[Image, int]:
    """The sheet, and how many images the split has."""
    from spdbuild.data.detection.dataset import DetectionSplit
    from spdbuild.data.detection.findings import count, summary
    from spdbuild.data.detection.gallery import gallery
    from spdbuild.data.detection.loader import DetectionLoader
    from spdbuild.training.detection.images import DetectionImages

    _check_split(wanted.split, get_args(DetectionSplit))
    dataset = data_set.read(wanted.split)
    if found := summary(count(dataset.findings)):
        say(f"found in reading: {found}", err=True)
    options = _training(recipe, wanted.images)
    given = {"size": wanted.size, "seed": wanted.seed}
    options |= {name: value for name, value in given.items() if value is not None}
    if wanted.plain or (recipe and wanted.split != "train"):
        options["augment"] = None
    dataset = _cut(dataset, recipe, wanted) if recipe else dataset
    if recipe and options["augment"] is not None:
        options["weights"] = recipe.task.weights(recipe, DetectionImages(dataset, options["size"]))
    loader = DetectionLoader(dataset, shuffle=True, **options)
    loader.set_epoch(wanted.epoch)
    return gallery(loader, columns=wanted.columns, most=wanted.images), len(dataset)


def _cut(dataset: DetectionSet, recipe: Recipe, wanted: _Wanted) -> DetectionSet:
    """The tiles of the images where the recipe looks at tiles."""
    from spdbuild.training.detection.images import DetectionImages
    from spdbuild.training.tasks.detection import Detection, long_side

    assert isinstance(recipe.task, Detection)
    images = DetectionImages(dataset, long_side(recipe), recipe.task.tiles)
    return images.to_learn().dataset if wanted.split == "train" else images.seen


def _with_classes(data_set: Any, recipe: Recipe | None, wanted: _Wanted) -> tuple[Image, int]:
    """The same for classification, whose augmentation only a recipe knows; images are shown before `normalize`."""
    from spdbuild.data import Loader
    from spdbuild.data.augment.normalize import Normalize
    from spdbuild.data.dataset import splits_of
    from spdbuild.data.overview.gallery import gallery

    if wanted.size is not None:
        raise InputError("--size is of a detector's images", hint="the size of images to classify is a field: size=64")
    _check_split(wanted.split, splits_of(data_set))
    image_set = data_set.open(wanted.split)
    training = recipe is not None and wanted.split == "train" and not wanted.plain
    steps = (*(recipe.augment if recipe and training else ()), *(recipe.preprocess if recipe else ()))
    loader = Loader(
        image_set,
        recipe.batch if recipe else wanted.images,
        shuffle=True,
        weights=recipe.task.weights(recipe, image_set) if recipe and training else None,
        seed=next(seed for seed in (wanted.seed, recipe.seed if recipe else 0) if seed is not None),
        augment=[step for step in steps if not isinstance(step, Normalize)],
    )
    loader.set_epoch(wanted.epoch)
    return gallery(loader, columns=wanted.columns, most=wanted.images), len(image_set)


def _check_split(split: str, known: tuple[str, ...]) -> None:
    if split not in known:
        raise InputError(f"there is no split '{split}'", hint=nearest(split, known))


def _training(recipe: Recipe | None, images: int) -> dict[str, Any]:
    """Options of a loader: those of the recipe's training, or the defaults."""
    from spdbuild.data.detection.options import DetectionAugmentation

    if recipe is None:
        return {"batch": images, "size": 640, "augment": DetectionAugmentation(), "seed": 0}
    from spdbuild.training.tasks.detection import Detection, long_side

    assert isinstance(recipe.task, Detection)
    return {
        "batch": recipe.batch,
        "size": long_side(recipe),
        "augment": recipe.task.augment,
        "seed": recipe.seed,
        "epochs": recipe.epochs,
    }

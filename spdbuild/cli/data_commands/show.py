"""`spdbuild data show`: augmented batches with their boxes, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.data_commands.target import data_set_alone, recipe_of, with_boxes
from spdbuild.errors import InputError, nearest

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild data show data.yaml --plain
  spdbuild data show recipes/hit_uav_yolov5n.yaml task.augment.mixup=0.5 --epoch 150
"""


@click.command("show", epilog=_EXAMPLES)
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("gallery.png"), show_default=True)
@click.option("--split", default="train", show_default=True, help="train, val or test.")
@click.option("--plain", is_flag=True, help="Letterboxed images without augmentation.")
@click.option("--size", type=click.IntRange(32, 4096), help="A multiple of 32; without it the recipe's, or 640.")
@click.option("--images", type=click.IntRange(1, 256), default=16, show_default=True, help="How many.")
@click.option("--columns", type=click.IntRange(1, 32), default=4, show_default=True, help="How many side by side.")
@click.option("--epoch", type=click.IntRange(1), default=1, show_default=True, help="Which epoch's, counted from 1.")
@click.option("--seed", type=int, help="Of order and augmentation; without it the recipe's, or 0.")
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
    """Draw images of TARGET as a network gets them, with their boxes, into a PNG.

    TARGET is a dataset YAML, a folder, the name of a data set, or a recipe, of which the first images of an epoch are
    shown as it trains on them. FIELD=VALUE sets a field of the data set, or KEY.PATH=VALUE a key of the recipe.
    """
    from spdbuild.data.detection.dataset import splits_of
    from spdbuild.data.detection.gallery import gallery
    from spdbuild.data.detection.loader import DetectionLoader
    from spdbuild.drawing import write_png

    data_set = data_set_alone(target, overrides)
    recipe = recipe_of(target, overrides) if data_set is None else None
    splits = splits_of(with_boxes(recipe.data if recipe else data_set))
    if split not in splits:
        raise InputError(f"there is no split '{split}'", hint=nearest(split, splits))
    options = _training(recipe, images)
    options |= {name: given for name, given in {"size": size, "seed": seed}.items() if given is not None}
    if plain or (recipe and split != "train"):
        options["augment"] = None
    loader = DetectionLoader(splits[split], shuffle=True, **options)
    loader.set_epoch(epoch - 1)
    write_png(gallery(loader, columns=columns, most=images), output)
    click.echo(f"{min(images, len(splits[split]))} images in {output}")


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

"""`spdbuild data show`: augmented batches with their boxes, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.cli.data_commands.target import detection_set_of
from spdbuild.errors import InputError, nearest


@click.command("show")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("gallery.png"), show_default=True)
@click.option("--split", default="train", show_default=True, help="train, val or test.")
@click.option("--plain", is_flag=True, help="Letterboxed images without augmentation.")
@click.option("--size", type=click.IntRange(32, 4096), default=640, show_default=True, help="A multiple of 32.")
@click.option("--images", type=click.IntRange(1, 256), default=16, show_default=True, help="How many.")
@click.option("--columns", type=click.IntRange(1, 32), default=4, show_default=True, help="How many side by side.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of order and augmentation.")
def command(
    target: str,
    overrides: tuple[str, ...],
    output: Path,
    split: str,
    plain: bool,
    size: int,
    images: int,
    columns: int,
    seed: int,
) -> None:
    """Draw images of TARGET as a network gets them, with their boxes, into a PNG.

    TARGET is a dataset YAML, a folder, a recipe, or the name of a data set.
    """
    from spdbuild.data.detection.dataset import splits_of
    from spdbuild.data.detection.gallery import gallery
    from spdbuild.data.detection.loader import DetectionLoader
    from spdbuild.data.detection.options import DetectionAugmentation
    from spdbuild.drawing import write_png

    splits = splits_of(detection_set_of(target, overrides))
    if split not in splits:
        raise InputError(f"there is no split '{split}'", hint=nearest(split, splits))
    augment = None if plain else DetectionAugmentation()
    loader = DetectionLoader(splits[split], images, size, augment=augment, shuffle=True, seed=seed)
    write_png(gallery(loader, columns=columns, most=images), output)
    click.echo(f"{min(images, len(splits[split]))} images in {output}")

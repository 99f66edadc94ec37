"""`spdbuild data convert`: write a data set with boxes in another format."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import click

from spdbuild.cli.data_commands.target import data_set_of, with_boxes
from spdbuild.cli.options import DependentOption


@click.command("convert")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--to", "format", type=click.Choice(["coco", "yolo", "voc"]), required=True, help="The format to write.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The folder to write; a new one.")
@click.option("--outlines", is_flag=True, help="In YOLO's files, write outlines in place of boxes.")
@click.option("--tile", type=click.IntRange(32), help="Cut larger images into windows of this side in pixels.")
@click.option(
    "--overlap",
    cls=DependentOption,
    needs="--tile",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="With --tile: share of a window that its neighbour has too, at least.",
)
@click.option(
    "--whole",
    cls=DependentOption,
    needs="--tile",
    is_flag=True,
    help="With --tile: write images that are cut as they are, too.",
)
@click.option(
    "--min-visible",
    cls=DependentOption,
    needs="--tile",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="With --tile: least share of a box that a window must show, else the object is to be ignored there.",
)
@click.option(
    "--background",
    cls=DependentOption,
    needs="--tile",
    type=click.FloatRange(0),
    default=0.1,
    show_default=True,
    help="With --tile: training windows without an object, at most this many for each one with an object.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON on stdout.")
def command(
    target: str,
    overrides: tuple[str, ...],
    format: Literal["coco", "yolo", "voc"],
    output: Path,
    outlines: bool,
    tile: int | None,
    overlap: float,
    whole: bool,
    min_visible: float,
    background: float,
    as_json: bool,
) -> None:
    """Write every split of TARGET with its images as COCO, YOLO or Pascal VOC.

    TARGET is a dataset YAML, a folder, a recipe, or the name of a data set. The folder is there whole or not at all.
    With `on_error=skip` images and annotations that cannot be used are left out. Outlines and masks of run lengths stay
    in COCO's files; what another format has no place for is counted. With --tile, windows are written in place of
    larger images: all of them, but of those to train on only what there is to learn from.

    FIELD=VALUE sets a field of the data set, or KEY.PATH=VALUE a key of the recipe, in YAML: 'ignore=[person]'.
    """
    from spdbuild.data.detection.convert import convert
    from spdbuild.data.detection.dataset import splits_of, usable
    from spdbuild.data.detection.findings import GRAVE, refuse_grave
    from spdbuild.data.detection.tiles import cut

    data_set = with_boxes(data_set_of(target, overrides))
    splits = splits_of(data_set)
    if getattr(data_set, "on_error", "refuse") == "skip":
        splits = {split: usable(dataset, "skip") for split, dataset in splits.items()}
    else:
        refuse_grave(finding for dataset in splits.values() for finding in dataset.findings)
    skipped = sum(finding.kind in GRAVE for dataset in splits.values() for finding in dataset.findings)
    if tile is not None:
        tiles = {split: cut(dataset, tile, overlap, min_visible, whole) for split, dataset in splits.items()}
        splits = {split: own.to_learn(background) if split == "train" else own.dataset for split, own in tiles.items()}
    done = convert(splits, format, output, outlines=outlines)
    if as_json:
        from spdbuild.cli.json_output import print_json

        print_json({**asdict(done), "folder": str(done.folder), "skipped": skipped})
        return
    click.echo(f"{done.images:,} images, {done.objects:,} objects in {done.folder}")
    for number, what in (
        (done.left_out, "crowd or ignored regions left out: the format has no place for them"),
        (done.boxes_only, f"objects lost their outline{'; --outlines keeps it' if format == 'yolo' else ''}"),
        (done.masks_lost, "objects lost their mask of run lengths, which only COCO's files can hold"),
        (skipped, "images or annotations skipped, which cannot be used; `spdbuild data check` names them"),
    ):
        if number:
            click.echo(f"{number:,} {what}")

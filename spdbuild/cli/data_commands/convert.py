"""`spdbuild data convert`: write a data set with boxes in another format."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.data_commands.target import data_set_of, with_boxes
from spdbuild.cli.data_views.view import listed
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, DependentOption, json_option
from spdbuild.cli.output import say

if TYPE_CHECKING:
    from spdbuild.data.detection.convert import Format


#: Formats and defaults are those of the library, which imports torch; a test compares them.
@click.command("convert")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--to", "format", type=click.Choice(["coco", "yolo", "voc"]), required=True, help="The format to write.")
@click.option("-o", "--output", type=PATH, metavar="FOLDER", required=True, help="The folder to write; a new one.")
@click.option("--outlines", is_flag=True, help="In YOLO's files, write outlines in place of boxes.")
@click.option("--tile", type=click.IntRange(32), help="Cut larger images into tiles of this side in pixels.")
@click.option(
    "--overlap",
    cls=DependentOption,
    needs="--tile",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="With --tile: least share of a tile that its neighbour covers too.",
)
@click.option(
    "--whole",
    cls=DependentOption,
    needs="--tile",
    is_flag=True,
    help="With --tile: also write the images that are cut, whole.",
)
@click.option(
    "--min-visible",
    cls=DependentOption,
    needs="--tile",
    type=click.FloatRange(0, 1),
    default=0.3,
    show_default=True,
    help="With --tile: least share of a box that a tile must show; with less, the object is ignored there.",
)
@click.option(
    "--background",
    cls=DependentOption,
    needs="--tile",
    type=click.FloatRange(0),
    default=0.1,
    show_default=True,
    help="With --tile: training tiles without an object, at most this many per tile with an object.",
)
@json_option
def command(
    target: str,
    overrides: tuple[str, ...],
    format: Format,
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

    TARGET is a dataset YAML, a folder, a recipe, or the name of a data set. The folder is written whole or not at all.
    With `on_error=skip`, images and annotations that cannot be used are left out. COCO's files keep outlines and masks
    of run lengths; what another format has no place for is counted. With --tile, tiles are written in place of larger
    images: all of them, but for training only those with something to learn.

    FIELD=VALUE sets a field of the data set, or KEY.PATH=VALUE a key of the recipe, in YAML: 'ignore=[person]'.
    """
    from spdbuild.data.detection.convert import convert_data_set
    from spdbuild.data.detection.tiles import TileOptions

    data_set = with_boxes(data_set_of(target, overrides))
    tiles = TileOptions(tile, overlap, whole, min_visible, background)
    done, skipped = convert_data_set(data_set, format, output, outlines=outlines, tiles=tiles)
    if as_json:
        print_json({**asdict(done), "folder": str(done.folder), "skipped": skipped})
        return
    click.echo(f"{done.images:,} images, {done.objects:,} objects in {done.folder}")
    keep = "; --outlines keeps them" if format == "yolo" else ""
    for number, what in (
        (done.left_out, "crowd or ignored regions left out: the format has no place for them"),
        (done.boxes_only, f"objects lost their outline, and their sizes go by their boxes{keep}"),
        (done.masks_lost, "objects lost their mask of run lengths, which only COCO's files can hold"),
        (skipped, "images or annotations skipped, which cannot be used; `spdbuild data check` names them"),
    ):
        if number:
            click.echo(f"{number:,} {what}")
    for line in listed((f"{finding.kind}: {finding}" for finding in done.lossy), most=5):
        say(line.strip())

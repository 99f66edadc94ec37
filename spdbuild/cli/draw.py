"""`spdbuild draw`: a picture of an architecture."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.cli.options import ARCHITECTURE, Choice, choice_options, output_option
from spdbuild.cli.output import put_text

_EXAMPLES = """\b
Examples:
  spdbuild draw resnet50 -o resnet50.svg
  spdbuild draw resnet50_spd.yaml --against resnet50 -o changes.svg
  spdbuild draw yolov5_spd --variant s --depth 3 > yolov5s_spd.svg
"""


@click.command("draw", epilog=_EXAMPLES)
@click.argument("architecture", type=ARCHITECTURE)
@choice_options
@click.option("--depth", type=click.IntRange(min=1), default=2, show_default=True, help="Levels of blocks to show.")
@click.option("--against", type=ARCHITECTURE, help="Frame what differs from this architecture.")
@output_option("the picture")
def command(architecture: str, choice: Choice, depth: int, against: str | None, output: Path | None) -> None:
    """Draw the blocks of an architecture, from top to bottom, as an SVG: to FILE, or to stdout.

    ARCHITECTURE is a path, a built-in name, or the folder of a run.

    Boxes with layers that skip pixels are red, those with space-to-depth green. With --against, boxes with layers that
    differ get a frame, blue if all their layers are new and else orange; the options that select a network apply to
    both.
    """
    from spdbuild.api import draw

    put_text(draw(choice.load(architecture), depth, choice.load(against) if against else None), output)

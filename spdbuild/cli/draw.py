"""`spdbuild draw`: a picture of an architecture."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.cli.options import ARCHITECTURE, Choice, choice_options, output_option
from spdbuild.files import write_text

_EXAMPLES = """\b
Examples:
  spdbuild draw resnet50 -o resnet50.svg
  spdbuild draw yolov5_spd --variant s --depth 3 > yolov5s_spd.svg
"""


@click.command("draw", epilog=_EXAMPLES)
@click.argument("architecture", type=ARCHITECTURE)
@choice_options
@click.option("--depth", type=click.IntRange(min=1), default=2, show_default=True, help="Levels of blocks to show.")
@output_option("the picture")
def command(architecture: str, choice: Choice, depth: int, output: Path | None) -> None:
    """Draw the blocks of an architecture, from top to bottom, as an SVG: in FILE, or on stdout.

    Boxes with layers that skip pixels are red, those with space-to-depth green.
    """
    from spdbuild.diagram import diagram_svg

    picture = diagram_svg(choice.load(architecture).graph, depth)
    if output is None:
        click.echo(picture, nl=False)
    else:
        write_text(output, picture)
        click.echo(f"wrote {output}", err=True)

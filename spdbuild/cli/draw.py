"""`spdbuild draw`: a picture of an architecture."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.options import ARCHITECTURE, Choice, choice_options, output_option
from spdbuild.files import write_text

if TYPE_CHECKING:
    from spdbuild.diagram import Mark
    from spdbuild.graph import Graph

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
    """Draw the blocks of an architecture, from top to bottom, as an SVG: in FILE, or on stdout.

    ARCHITECTURE is a path, a built-in name, or the folder of a run.

    Boxes with layers that skip pixels are red, those with space-to-depth green. With --against the boxes with changed
    layers have an orange frame, those with new layers alone a blue one; the options that pick a network hold for both.
    """
    from spdbuild.diagram import diagram_svg

    graph = choice.load(architecture).graph
    differences = _differences(choice.load(against).graph, graph) if against else ({}, "")
    picture = diagram_svg(graph, depth, *differences)
    if output is None:
        click.echo(picture, nl=False)
    else:
        write_text(output, picture)
        click.echo(f"wrote {output}", err=True)


def _differences(before: Graph, after: Graph) -> tuple[dict[str, Mark], str]:
    """The marks of the layers that differ from those of `before`, and a line that sums up."""
    from spdbuild.alignment import align

    pairs = align(before, after)
    marks: dict[str, Mark] = {
        pair.after.name: "changed" if pair.before else "new" for pair in pairs if pair.after and not pair.equal
    }
    counts = Counter(marks.values())
    gone = sum(pair.after is None for pair in pairs)
    return marks, (
        f"against {before.name}: {counts['changed']} layers changed (orange), {counts['new']} new (blue), {gone} gone"
    )

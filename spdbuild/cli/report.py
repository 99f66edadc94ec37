"""`spdbuild report`: what several runs say together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, DependentOption, json_option
from spdbuild.cli.tables import Table

if TYPE_CHECKING:
    from spdbuild.reporting.parts import Part

_EXAMPLES = """\b
Examples:
  spdbuild report runs
  spdbuild report runs/quickstart runs/quickstart-2 runs/quickstart-3 --metric top1
  spdbuild report runs --against quickstart/strided -o report
  spdbuild report runs/quickstart --resample 200
  spdbuild report runs --resample 200 --together 'patient_[0-9]+'
"""


@click.command("report", epilog=_EXAMPLES)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Show this metric; may be repeated.")
@click.option("--against", metavar="NAME", help="Compare all others with the runs of this name.")
@click.option("-o", "--output", type=PATH, help="Folder for report.md, runs.csv and a page with curves.")
@click.option(
    "--resample",
    "resamples",
    type=int,
    default=0,
    metavar="N",
    help="Draw the test images anew N times, and say how far each difference depends on them; 200 suffice.",
)
@click.option(
    "--together",
    cls=DependentOption,
    needs="--resample",
    metavar="PATTERN",
    help="Draw images together in whose names this regular expression, or what is in its parentheses, matches the "
    "same: frames of a film, images of a patient.",
)
@json_option
def command(
    runs: tuple[Path, ...],
    metrics: tuple[str, ...],
    against: str | None,
    output: Path | None,
    resamples: int,
    together: str | None,
    as_json: bool,
) -> None:
    """Gather runs: what each recipe reached over its seeds, how far converted networks are apart, and what they cost.

    RUN is the folder of a run, with those that it is compared with, or a folder that holds runs. Runs belong together
    whose recipes differ in nothing but the seed and keys that do not change the result: title, compare, expect,
    workers, device, save_every, data.memory_gib, task.cache, task.seeing and task.evaluation.backend. Runs on other
    data, or with another task.evaluation, are shown by themselves.

    Each is compared with the nearest recipe before it that shares a seed: a converted network with itself unconverted.
    One seed gives no conclusion about other trainings; --resample then still tells whether the difference of these two
    networks could be one of the test images that happened to be there. Images that are alike, such as frames of a film,
    tell less than their number: --together draws them as one.

    Runs that have not ended and damaged folders are told and left out. torch is not needed.
    """
    from spdbuild.reporting.report import report

    found = report(*runs, metrics=metrics, against=against, output=output, resamples=resamples, together=together)
    for entry in found.left_out:
        click.echo(str(entry), err=True)
    if output is not None:
        click.echo(f"wrote {output}", err=True)
    if as_json:
        print_json(found.to_dict())
        return
    for number, part in enumerate(found.parts):
        _show(part, first=number == 0)


def _show(part: Part, *, first: bool) -> None:
    click.echo(f"{'' if first else chr(10)}{part.title}")
    for table in part.tables:
        click.echo()
        Table(table.columns, table.numbers, table.rows).show()
    click.echo()
    for sentence in part.sentences:
        click.echo(sentence)

"""`spdbuild report`: what several runs show together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, DependentOption, json_option, repeated_option
from spdbuild.cli.output import say
from spdbuild.cli.tables import show_table

if TYPE_CHECKING:
    from spdbuild.reporting.parts import Part

_EXAMPLES = """\b
Examples:
  spdbuild report runs
  spdbuild report runs/quickstart runs/quickstart-2 runs/quickstart-3 --metric top1
  spdbuild report runs --against quickstart/strided -o report
  spdbuild report runs/quickstart --resample 200
  spdbuild report evaluated/seed0 evaluated/seed1 evaluated/seed2 --by-class top1
  spdbuild report runs --resample 200 --together 'patient_[0-9]+'
"""


@click.command("report", epilog=_EXAMPLES)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@repeated_option("--metric", "metrics", metavar="NAME", help="Show this metric.")
@click.option("--against", metavar="NAME", help="Compare all others with the runs of this name.")
@repeated_option(
    "--by-class",
    metavar="NAME",
    help="Show this column of the runs' classes.csv for each class, such as top1 or AP.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FOLDER",
    help="Folder for report.md, the same tables for LaTeX, CSV tables (also of the curves), and a page with curves.",
)
@click.option(
    "--resample",
    "resamples",
    type=int,
    default=0,
    metavar="N",
    help="Resample the test images N times, and report how far each difference depends on them; 200 suffice.",
)
@click.option(
    "--together",
    cls=DependentOption,
    needs="--resample",
    metavar="PATTERN",
    help="Draw images together if this regular expression, or its part in parentheses, matches the same text in their "
    "names: frames of a video, images of a patient.",
)
@json_option
def command(
    runs: tuple[Path, ...],
    metrics: tuple[str, ...],
    against: str | None,
    by_class: tuple[str, ...],
    output: Path | None,
    resamples: int,
    together: str | None,
    as_json: bool,
) -> None:
    """Summarize runs: each recipe's results over its seeds, the differences between converted networks, and the costs.

    RUN is the folder of a run, including the runs that it is compared with, or a folder that holds runs; or the folder
    of an evaluation, which `spdbuild eval RUN --split test -o FOLDER` writes, or one that holds some. Runs belong
    together if their recipes differ only in the seed, in data.fold, and in keys that do not change the result: title,
    compare, expect, workers, device, test_batch, save_every, data.download, data.memory_gib, task.cache, task.seeing
    and task.evaluation.backend. Runs on other images, or with another task.evaluation, are shown separately. Images are
    compared by what they are, not where; where a data set does not tell them, by the keys of data.

    Each is compared with the nearest recipe before it that shares a seed: a converted network with the unconverted one.
    One seed allows no conclusion about other training runs; --resample then still tells whether the difference between
    these two networks could be due to the choice of test images. Similar images, such as frames of a video, tell less
    than their number suggests: --together draws them as one.

    Of a cross-validation, data.folds=5 with one run for each data.fold, the folds are shown together and compared fold
    by fold; the interval allows for training images that they have in common. Of several comparisons of one metric the
    p values are shown with Holm's correction, too. Where evaluations were timed, their latency is shown with the
    machine.

    Runs are compared by the weights that they ended with, on the images that training evaluates on. Evaluations are
    shown separately for each split of the data, and for best, last and other weights.

    Unfinished runs and damaged folders are reported and left out. torch is not needed.
    """
    from spdbuild.reporting.report import report

    found = report(
        *runs,
        metrics=metrics,
        against=against,
        by_class=by_class,
        output=output,
        resamples=resamples,
        together=together,
    )
    for entry in found.left_out:
        say(str(entry), err=True)
    if output is not None:
        click.echo(f"wrote {output}", err=True)
    if as_json:
        print_json(found.to_dict())
        return
    for number, part in enumerate(found.parts):
        _show(part, first=number == 0)


def _show(part: Part, *, first: bool) -> None:
    say(f"{'' if first else chr(10)}{part.title}")
    for table in part.tables:
        click.echo()
        show_table(table)
    click.echo()
    for sentence in part.sentences:
        say(sentence)

"""`spdbuild eval`: the metrics and the speed of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, imports_option, json_option
from spdbuild.tables import Table

if TYPE_CHECKING:
    from spdbuild.training.evaluate import Report

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild eval runs/quickstart
  spdbuild eval runs/quickstart --weights runs/quickstart/weights/last.safetensors --json
  spdbuild eval cifar10_resnet50_spd --weights imported.safetensors device=cpu
"""


@click.command("eval", epilog=_EXAMPLES)
@click.argument("run")
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE | ~KEY.PATH]...")
@click.option("--weights", type=PATH, help="File of weights in place of the run's best.")
@click.option("--split", help="Which images: a split of the data; without it the one that training evaluates on.")
@click.option("--no-speed", is_flag=True, help="Do not time the model.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="Folder for tables, what each image gave, the confusion matrix and samples; of a detector also curves.",
)
@imports_option
@json_option
def command(
    run: str,
    overrides: tuple[str, ...],
    weights: Path | None,
    split: str | None,
    no_speed: bool,
    output: Path | None,
    allow_imports: bool,
    as_json: bool,
) -> None:
    """Evaluate RUN: the folder of a run, or a recipe with --weights."""
    from spdbuild.training.distributed import is_first
    from spdbuild.training.evaluate import evaluate

    report = evaluate(
        run,
        overrides,
        weights=weights,
        split=split,
        speed=not no_speed,
        output=output,
        allow_imports=allow_imports,
    )
    if not is_first():
        return
    if as_json:
        print_json(report.to_dict())
    else:
        click.echo(_text(report))


def _text(report: Report) -> str:
    from spdbuild.training.comparison import number_text

    stored, evaluation = report.stored, report.evaluation
    lines = [
        f"{stored.weights} on {report.images:,} images ({report.split})",
        f"  {stored.recipe.title or stored.recipe.architecture}: {stored.parameters:,} parameters, "
        f"{stored.macs:,} MACs at {'x'.join(map(str, stored.input))}",
    ]
    lines += [f"  {evaluation.protocol}"] if evaluation.protocol else []
    lines += [f"  {name:16} {number_text(value)}" for name, value in (evaluation.metrics | evaluation.counts).items()]
    if report.speed:
        latency = ", ".join(f"{name} {value:.2f} ms" for name, value in report.speed.latency_ms.items())
        where = f"{report.stored.device} {report.stored.precision}"
        lines.append(f"  {report.speed.images_per_second:,.0f} images/s in batches of {report.speed.batch} ({where})")
        lines.append(f"  latency of one image: {latency}")
    for batch, stages in report.stages.items():
        times = ", ".join(f"{stage} {value:.2f}" for stage, value in stages.items())
        lines.append(f"  milliseconds an image in batches of {batch}: {times}")
    rows = report.evaluation.rows
    if rows:
        table = Table(("class", *rows[0]), tuple(rows[0]))
        for name, row in zip(report.evaluation.classes, rows, strict=True):
            table.add(name, *map(number_text, row.values()))
        lines += ["", table.markdown(aligned=True).rstrip("\n")]
    return "\n".join(lines)

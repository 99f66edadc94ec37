"""`spdbuild eval`: the metrics and the speed of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.detector_options import changes
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, BuiltinName, DependentOption, imports_option, json_option
from spdbuild.cli.output import say
from spdbuild.cli.task_options import require_classifier
from spdbuild.cli.weight_options import weights_option
from spdbuild.wording.quantities import shapes_text
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.training.trained.evaluate import EvaluationReport
    from spdbuild.weights import StoredWeights

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild eval runs/quickstart
  spdbuild eval runs/quickstart --weights runs/quickstart/weights/last.safetensors --json
  spdbuild eval runs/pets --split test -o evaluated/pets --probabilities
  spdbuild eval cifar10_resnet50_spd --weights imported.safetensors device=cpu
"""


@click.command("eval", epilog=_EXAMPLES)
@click.argument("run", type=BuiltinName("recipes"))
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE | ~KEY.PATH]...")
@weights_option("Weights to use in place of the run's best.")
@click.option("--split", help="The split of the data to evaluate on; by default the one that training uses.")
@click.option("--no-speed", is_flag=True, help="Do not time the model.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FOLDER",
    help="Folder for tables, results by image, the confusion matrix and samples, and for a detector curves; "
    "`spdbuild report` reads that of a run.",
)
@click.option(
    "--probabilities",
    cls=DependentOption,
    needs="-o",
    why=" FOLDER to write into",
    is_flag=True,
    help="Also write a classifier's probabilities of all classes for each image.",
)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Least score of a box that counts as a detection.")
@click.option("--max-iou", type=click.FloatRange(0, 1), help="Of two detections that overlap more, the better counts.")
@imports_option
@json_option
def command(
    run: str,
    overrides: tuple[str, ...],
    weights: StoredWeights | None,
    split: str | None,
    min_score: float | None,
    max_iou: float | None,
    no_speed: bool,
    output: Path | None,
    probabilities: bool,
    allow_imports: bool,
    as_json: bool,
) -> None:
    """Evaluate RUN: the folder of a run, or a recipe with --weights."""
    from spdbuild.training.processes.distributed import is_first
    from spdbuild.training.trained.evaluate import evaluate

    given = {
        "--min-score": ("task.evaluation.nms.min_score", min_score),
        "--max-iou": ("task.evaluation.nms.max_iou", max_iou),
    }
    changed = changes(run, overrides, given, allow_imports=allow_imports)
    require_classifier(run, overrides, ["--probabilities"] if probabilities else [], allow_imports=allow_imports)
    report = evaluate(
        run,
        (*overrides, *changed),
        weights=weights,
        split=split,
        speed=not no_speed,
        output=output,
        probabilities=probabilities,
        allow_imports=allow_imports,
    )
    if not is_first():
        return
    for warning in report.evaluation.warnings:
        say(f"warning: {warning}", err=True)
    if as_json:
        print_json(report.to_dict())
    else:
        say(_text(report))


def _text(report: EvaluationReport) -> str:
    from spdbuild.training.result import number_text

    stored, evaluation = report.stored, report.evaluation
    taken = f", under '{stored.taken_from}'," if stored.taken_from else ""
    lines = [
        f"{stored.weights_source}{taken} on {report.images:,} images ({report.split})",
        f"  {stored.recipe.title or stored.recipe.architecture}: {stored.parameters:,} parameters, "
        f"{stored.macs:,} MACs at {shapes_text([stored.input])}",
    ]
    lines += [f"  {evaluation.protocol}"] if evaluation.protocol else []
    lines += [f"  {name:16} {number_text(value)}" for name, value in (evaluation.metrics | evaluation.counts).items()]
    if report.speed:
        latency = ", ".join(f"{name} {value:.2f} ms" for name, value in report.speed.latency_ms.items())
        where = f"{report.stored.device} {report.stored.precision}"
        tiles = evaluation.counts.get("tiles")
        what, each = ("image", "") if tiles is None else ("tile", f"; an image has {tiles / report.images:.1f} of them")
        lines.append(f"  {report.speed.images_per_second:,.0f} {what}s/s in batches of {report.speed.batch} ({where})")
        lines.append(f"  latency of one {what}: {latency}{each}")
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

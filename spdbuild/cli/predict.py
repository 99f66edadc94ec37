"""`spdbuild predict`: what a trained model sees in files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.detector_options import changes
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, DependentOption, imports_option, json_option, repeated_option
from spdbuild.cli.output import say
from spdbuild.cli.task_options import require_classifier
from spdbuild.cli.weight_options import weights_option
from spdbuild.errors import RunError
from spdbuild.wording.phrases import number, printable, some

if TYPE_CHECKING:
    from spdbuild.training.task import Prediction
    from spdbuild.weights import StoredWeights

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild predict runs/quickstart photo.png folder/ --json
  spdbuild predict runs/pets photos/ -o seen --save probabilities
  spdbuild predict runs/tiny_objects 'photos/*.jpg' -o seen
  spdbuild predict runs/hit_uav_yolov5n drone.mp4 -o seen --save csv
  spdbuild predict coco_yolov5_spd_n large.jpg --weights imported.safetensors --tile 640 -o seen --save crops
"""

#: The number of things that a line names; --json and --save have them all.
_SHOWN = 12

#: Keys of `training.report.outputs.WRITERS`, which imports torch; a test compares them.
_FORMS = ("pictures", "crops", "txt", "json", "csv", "probabilities")


@click.command("predict", epilog=_EXAMPLES)
@click.argument("run")
@click.argument("sources", nargs=-1, metavar="SOURCES...", type=PATH)
@weights_option("Weights to use in place of the run's best.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    metavar="FOLDER",
    help="Folder for pictures with boxes, or for a table.",
)
@repeated_option(
    "--save",
    "forms",
    cls=DependentOption,
    needs="-o",
    why=" FOLDER to write into",
    type=click.Choice(_FORMS),
    help="What to write into the folder instead.",
)
@click.option(
    "--top",
    type=click.IntRange(1),
    metavar="K",
    help="How many of the most likely classes a classifier names; 5, if left out.",
)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Least score of a box that a detector shows.")
@click.option("--max-iou", type=click.FloatRange(0, 1), help="Of two boxes that overlap more, the better is shown.")
@click.option(
    "--max-detections",
    type=click.IntRange(1),
    help="Boxes that a detector shows per picture, or per tile of it, the best first.",
)
@click.option(
    "--tile",
    type=click.IntRange(32),
    help="Side in pixels of the tiles in which a detector looks at larger pictures.",
)
@repeated_option("--class", "classes", metavar="NAME", help="Show only boxes of this class.")
@repeated_option("--set", "overrides", metavar="KEY=VALUE", help="Change a key of the recipe.")
@imports_option
@json_option
def command(
    run: str,
    sources: tuple[Path, ...],
    weights: StoredWeights | None,
    output: Path | None,
    forms: tuple[str, ...],
    top: int | None,
    min_score: float | None,
    max_iou: float | None,
    max_detections: int | None,
    tile: int | None,
    classes: tuple[str, ...],
    overrides: tuple[str, ...],
    allow_imports: bool,
    as_json: bool,
) -> None:
    """Show SOURCES to the model of RUN: image files, folders of them, patterns, and videos for a detector."""
    if not sources:
        message = f"name what to predict, after the run: spdbuild predict RUN {run}"
        raise click.UsageError(f"{message}; RUN is the folder of a run, such as runs/quickstart")
    from spdbuild.training.report.outputs import Outputs
    from spdbuild.training.trained.predict import distinct, predict, source_files, source_roots
    from spdbuild.training.trained.stored_run import load_model

    given = {
        "--min-score": ("task.seeing.nms.min_score", min_score),
        "--max-iou": ("task.seeing.nms.max_iou", max_iou),
        "--max-detections": ("task.seeing.nms.max_detections", max_detections),
        "--tile": ("task.seeing.tile", tile),
        "--class": ("task.seeing.classes", classes),
    }
    changed = changes(run, overrides, given, allow_imports=allow_imports)
    asked = (("--top", top is not None), ("--save probabilities", "probabilities" in forms))
    for_classes = [option for option, is_given in asked if is_given]
    require_classifier(run, overrides, for_classes, allow_imports=allow_imports)
    written = Outputs(output, forms, source_roots(sources)) if output else None
    entries, problems = [], []
    # A missing source is told before the weights are read.
    files, repeated = distinct(source_files(sources))
    if repeated:
        say(f"given more than once, and predicted once: {some(repeated, _SHOWN)}", err=True)
    stored = load_model(run, weights, (*overrides, *changed), allow_imports=allow_imports)
    if stored.taken_from:
        say(f"weights from {stored.weights_source}, under '{stored.taken_from}'", err=True)
    seen = predict(stored, files, top=top)
    with written or nullcontext():
        for prediction in seen:
            if written:
                written.add(prediction)
            if as_json:
                entries.append(prediction.to_dict())
            elif not prediction.problem:
                click.echo(printable(_line(prediction)))
            if prediction.problem:
                problems.append(prediction.problem)
                click.echo(f"error: {printable(prediction.problem)}", err=True)
    if as_json:
        print_json(entries)
    if problems:
        raise RunError(f"{number(len(problems), 'file')} could not be read")


def _line(prediction: Prediction) -> str:
    frame = "" if prediction.frame is None else f" frame {prediction.frame}"
    return f"{prediction.file}{frame}: {some(map(_text, prediction.found), _SHOWN) or 'nothing'}"


def _text(thing: dict[str, Any]) -> str:
    box = f" [{', '.join(f'{edge:.0f}' for edge in thing['box'])}]" if "box" in thing else ""
    return f"{thing['class']} {thing['score']:.3f}{box}"

"""`spdbuild predict`: what a trained model sees in files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, DependentOption, imports_option, json_option
from spdbuild.errors import InputError, RunError

if TYPE_CHECKING:
    from spdbuild.training.task import Prediction

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild predict runs/quickstart photo.png folder/ --json
  spdbuild predict runs/tiny_objects 'photos/*.jpg' -o seen
  spdbuild predict runs/hit_uav_yolov5n drone.mp4 -o seen --save csv
  spdbuild predict coco_yolov5_spd_n large.jpg --weights imported.safetensors --tile 640 -o seen --save crops
"""

#: Things that a line names; --json and --save have them all.
_SHOWN = 12

#: Keys of `training.outputs.WRITERS`, which imports torch; a test compares them.
_FORMS = ("pictures", "crops", "txt", "json", "csv")


@click.command("predict", epilog=_EXAMPLES)
@click.argument("run")
@click.argument("sources", nargs=-1, required=True, type=PATH)
@click.option("--weights", type=PATH, help="File of weights in place of the run's best.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="Folder for pictures with boxes, or for a table.",
)
@click.option(
    "--save",
    "forms",
    cls=DependentOption,
    needs="-o",
    why=" FOLDER to write into",
    multiple=True,
    type=click.Choice(_FORMS),
    help="What goes into the folder instead.",
)
@click.option("--min-score", type=click.FloatRange(0, 1), help="Least score of a box that a detector shows.")
@click.option(
    "--tile",
    type=click.IntRange(32),
    help="Side in pixels of the windows in which a detector looks at larger pictures.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key of the recipe.")
@imports_option
@json_option
def command(
    run: str,
    sources: tuple[Path, ...],
    weights: Path | None,
    output: Path | None,
    forms: tuple[str, ...],
    min_score: float | None,
    tile: int | None,
    overrides: tuple[str, ...],
    allow_imports: bool,
    as_json: bool,
) -> None:
    """Show SOURCES to the model of RUN: image files, folders of them, patterns, and films for a detector."""
    from spdbuild.training.outputs import Outputs
    from spdbuild.training.predict import predict, source_roots

    changes = _changes(run, overrides, {"--min-score": min_score, "--tile": tile}, allow_imports)
    written = Outputs(output, forms, source_roots(sources)) if output else None
    entries, problems = [], []
    seen = predict(run, sources, (*overrides, *changes), weights=weights, allow_imports=allow_imports)
    with written or nullcontext():
        for prediction in seen:
            if written:
                written.add(prediction)
            if as_json:
                entries.append(prediction.to_dict())
            elif not prediction.problem:
                click.echo(_line(prediction))
            if prediction.problem:
                problems.append(prediction.problem)
                click.echo(f"error: {prediction.problem}", err=True)
    if as_json:
        print_json(entries)
    if problems:
        raise RunError(f"{len(problems)} {'file' if len(problems) == 1 else 'files'} could not be read")


#: Options that stand for a key of a detector's recipe.
_KEYS = {"--min-score": "task.seeing.nms.min_score", "--tile": "task.seeing.tile"}


def _changes(
    run: str, overrides: tuple[str, ...], given: Mapping[str, float | None], allow_imports: bool = False
) -> list[str]:
    """The options that are given, as changes of the recipe; InputError if the run is not a detector's."""
    from spdbuild.training.stored_run import recipe_of

    options = {option: value for option, value in given.items() if value is not None}
    # Asked before the recipe is changed: its error would quote a line that nobody has typed.
    if options and (task := recipe_of(run, overrides, allow_imports=allow_imports).task.name) != "detection":
        named = " and ".join(options)
        message = f"{named} {'is' if len(options) == 1 else 'are'} for detectors, and the task of {run} is {task}"
        raise InputError(message, hint=f"leave out {named}")
    return [f"{_KEYS[option]}={value}" for option, value in options.items()]


def _line(prediction: Prediction) -> str:
    frame = "" if prediction.frame is None else f" frame {prediction.frame}"
    more = len(prediction.found) - _SHOWN
    rest = f", ... and {more:,} more" if more > 0 else ""
    return f"{prediction.file}{frame}: {', '.join(map(_text, prediction.found[:_SHOWN])) or 'nothing'}{rest}"


def _text(thing: dict[str, Any]) -> str:
    box = f" [{', '.join(f'{edge:.0f}' for edge in thing['box'])}]" if "box" in thing else ""
    return f"{thing['class']} {thing['score']:.3f}{box}"

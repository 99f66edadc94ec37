"""`spdbuild sweep`: a recipe over a grid of values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import BuiltinName, imports_option, json_option, repeated_option, runs_option
from spdbuild.cli.tables import show_table
from spdbuild.errors import RunError
from spdbuild.wording.tables import Table

if TYPE_CHECKING:
    from spdbuild.sweeping import Sweep

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild sweep quickstart --over seed=0,1,2
  spdbuild sweep quickstart epochs=5 '~expect' --over optimizer.lr=0.1,0.05 --over seed=0,1,2
  spdbuild sweep recipe.yaml --over "passes=[],[strided_to_spd()]" --over seed=0,1,2 --dry-run
  spdbuild sweep recipe.yaml data.folds=5 --over data.fold=0,1,2,3,4
  spdbuild report runs/quickstart_sweep
"""


@click.command("sweep", epilog=_EXAMPLES)
@click.argument("recipe", type=BuiltinName("recipes"))
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE | ~KEY.PATH]...")
@repeated_option(
    "--over",
    "grid",
    required=True,
    metavar="KEY.PATH=VALUE,VALUE,...",
    help="The values of a key; of several keys, every combination is trained.",
)
@runs_option("the folder of the sweep is")
@click.option("--dry-run", is_flag=True, help="Check all combinations and list them; train nothing.")
@click.option("--quiet", is_flag=True, help="Print no progress; the logs in the runs' folders are still written.")
@imports_option
@json_option
def command(
    recipe: str,
    overrides: tuple[str, ...],
    grid: tuple[str, ...],
    runs: Path,
    dry_run: bool,
    quiet: bool,
    allow_imports: bool,
    as_json: bool,
) -> None:
    """Train a RECIPE once for each combination of values, in runs/TITLE_sweep.

    Runs that have come to their end are left as they are, and unfinished ones go on: a sweep that was stopped is
    started again with the same command, and one that needs more seeds with more of them. All combinations are checked
    before the first is trained; one that fails does not keep the others from being trained, and the exit code is 1.
    Several of these commands side by side share the runs, with CUDA_VISIBLE_DEVICES=0, 1 and so on each on its own GPU.

    Over data.fold it is a cross-validation: with data.folds=5 every fifth of the training images is evaluated on once.

    `spdbuild report` on the folder compares the runs.
    """
    from spdbuild.sweeping import grid_of, sweep

    done = sweep(recipe, grid_of(grid), overrides, runs=runs, dry=dry_run, quiet=quiet, allow_imports=allow_imports)
    if as_json:
        print_json(done.to_dict())
    else:
        _show(done)
    if done.errors:
        message = f"{len(done.errors)} of {len(done.points)} runs failed"
        raise RunError(message, hint="the same command goes on with those that have not come to their end")


def _show(done: Sweep) -> None:
    """A line for each run: its values, its state, and the metrics that a training of its kind shows."""
    from spdbuild.training.result import number_text

    measured = [point.metrics for point in done.points]
    names = done.points[0].recipe.task.shown or tuple(dict.fromkeys(name for metrics in measured for name in metrics))
    table = Table(("run", "state", *names), names)
    for point, state, metrics in zip(done.points, done.states, measured, strict=True):
        table.add(str(point), state, *(number_text(metrics[name]) if name in metrics else "" for name in names))
    show_table(table)

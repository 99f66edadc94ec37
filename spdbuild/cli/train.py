"""`spdbuild train`: run a recipe, or resume a run."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PATH, BuiltinName, imports_option, json_option, runs_option

#: The first character keeps click from joining the lines.
_EXAMPLES = """\b
Examples:
  spdbuild train recipes/quickstart.yaml
  spdbuild train quickstart optimizer.lr=0.05 epochs=20 '~compare'
  spdbuild train --resume runs/quickstart epochs=40
  torchrun --nproc-per-node 2 -m spdbuild train quickstart
"""


@click.command("train", epilog=_EXAMPLES)
@click.argument("recipe", required=False, type=BuiltinName("recipes"))
@click.argument("overrides", nargs=-1, metavar="[KEY.PATH=VALUE | ~KEY.PATH]...")
@click.option("--resume", type=PATH, metavar="FOLDER", help="Folder of a run to resume.")
@runs_option("the folders of runs are")
@click.option("--quiet", is_flag=True, help="Print nothing; the log in the run's folder is still written.")
@imports_option
@json_option
def command(
    recipe: str | None,
    overrides: tuple[str, ...],
    resume: Path | None,
    runs: Path,
    quiet: bool,
    allow_imports: bool,
    as_json: bool,
) -> None:
    """Train a network from a RECIPE, a path or a built-in name, in a new folder below runs/.

    Ctrl-C and SIGTERM save the state after the current step; --resume goes on from it.
    """
    from spdbuild.training.processes.distributed import is_first
    from spdbuild.training.running import run

    if resume is not None:
        changes = overrides if recipe is None else (recipe, *overrides)
        if recipe is not None and not recipe.startswith("~") and "=" not in recipe:
            raise click.UsageError(f"with --resume no recipe is named: {resume} has its own; leave out '{recipe}'")
        result = run.resume(resume, changes, quiet=quiet, allow_imports=allow_imports)
    elif recipe is None:
        raise click.UsageError("name a recipe, or a run's folder with --resume")
    else:
        result = run.train(recipe, overrides, runs=runs, quiet=quiet, allow_imports=allow_imports)
    if as_json and is_first():
        print_json(result.to_dict())

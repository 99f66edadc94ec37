"""`spdbuild data recipe`: a starting recipe."""

from __future__ import annotations

from pathlib import Path

import click

from spdbuild.cli.data_commands.target import data_set_of
from spdbuild.cli.options import output_option
from spdbuild.cli.output import put_text, refuse_existing


@click.command("recipe")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@output_option("the recipe")
def command(target: str, overrides: tuple[str, ...], output: Path | None) -> None:
    """Write a starting recipe for TARGET: a folder, a dataset YAML, or the name of a data set.

    It trains SPD-Conv and the same network with its strides on these data: sizes, statistics and class weights come
    from the training images, the rest is the usual. It is written to FILE, which must not exist, or to stdout.

    FIELD=VALUE sets a field of the data set, in YAML: 'ignore=[person]'.
    """
    from spdbuild.training.recipe.beginning import beginning

    refuse_existing(output)
    put_text(beginning(data_set_of(target, overrides), str(output or "FILE")), output)

"""`spdbuild data stats`: the numbers of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from spdbuild.cli.data_commands.target import data_set_of
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import PngFile, json_option
from spdbuild.cli.output import say

if TYPE_CHECKING:
    from spdbuild.cli.data_views.view import View


@click.command("stats")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@json_option
@click.option("--plot", type=PngFile(), metavar="FILE", help="Draw the counts of a set with boxes into this PNG.")
def command(target: str, overrides: tuple[str, ...], as_json: bool, plot: Path | None) -> None:
    """Count what TARGET holds: a folder, a dataset YAML, a recipe, or the name of a data set.

    For classification it gives the mean and standard deviation that `normalize` needs, if the images have one size, for
    detection object sizes.

    FIELD=VALUE sets a field of the data set, or KEY.PATH=VALUE a key of the recipe, in YAML: 'ignore=[person]'.
    """
    from spdbuild.cli.data_views.by_task import plot_of, views_of

    data_set = data_set_of(target, overrides)
    view: View = views_of(data_set).stats(data_set)
    if plot is not None:
        from spdbuild.pictures.drawing import write_png

        write_png(plot_of(data_set), plot)
    if as_json:
        print_json(view.document)
    else:
        say(view.text)

"""`spdbuild data check`: check every image of a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from spdbuild.cli.data_commands.target import data_set_of
from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import json_option
from spdbuild.cli.output import say

if TYPE_CHECKING:
    from spdbuild.cli.data_views.view import View


@click.command("check")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@json_option
@click.pass_context
def command(ctx: click.Context, target: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Check every image of TARGET: a folder, a dataset YAML, a recipe, or the name of a data set.

    Counts what is there and names the files that cannot be used, with the reason. Exits with status 1 if there are any.

    FIELD=VALUE sets a field of the data set, or KEY.PATH=VALUE a key of the recipe, in YAML: 'ignore=[person]'.
    """
    from spdbuild.cli.data_views.by_task import views_of

    data_set = data_set_of(target, overrides)
    view: View = views_of(data_set).check(data_set)
    if as_json:
        print_json(view.document)
    else:
        say(view.text)
    ctx.exit(0 if view.sound else 1)

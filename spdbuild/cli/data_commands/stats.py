"""`spdbuild data stats`: the numbers of a data set."""

from __future__ import annotations

import click

from spdbuild.cli.data_commands.target import data_set_of


@click.command("stats")
@click.argument("target")
@click.argument("overrides", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON on stdout.")
def command(target: str, overrides: tuple[str, ...], as_json: bool) -> None:
    """Count what TARGET holds: a folder, a recipe, or the name of a data set.

    Of images to classify it gives the mean and deviation that `normalize` needs, of objects to detect their sizes.
    """
    from spdbuild.cli.data_views.view import view_of
    from spdbuild.cli.json_output import print_json

    view = view_of(data_set_of(target, overrides), "stats")
    if as_json:
        print_json(view.document)
    else:
        click.echo(view.text)

"""`spdbuild passes`: what rewrites a graph."""

from __future__ import annotations

import click

from spdbuild.cli.json_output import print_json
from spdbuild.cli.options import json_option
from spdbuild.cli.reference import reference, text_of
from spdbuild.cli.tables import show_table
from spdbuild.wording.tables import Table


@click.command("passes", epilog="Example: spdbuild passes strided_to_spd")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the passes, or describe one in full: options, cases, and where it was published.

    A file lists the passes to run under the key 'passes:'; the command convert runs strided_to_spd.
    """
    from spdbuild.passes import PASSES

    if as_json:
        print_json(reference(PASSES[name]).to_dict() if name else [reference(p).to_dict() for _, p in PASSES.items()])
    elif name:
        click.echo(text_of(reference(PASSES[name])))
    else:
        table = Table(("pass", "what it does"))
        for _, step in PASSES.items():
            table.add(step.name, reference(step).summary)
        show_table(table)

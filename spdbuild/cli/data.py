"""`spdbuild data`: commands for data sets; each file in `data_commands` with a `command` is one of them."""

from __future__ import annotations

import click

from spdbuild.cli.command_group import CommandGroup


class DataCommands(CommandGroup):
    """The commands in `data_commands`."""

    package = "spdbuild.cli.data_commands"
    entry_points = "spdbuild.data_commands"


@click.command("data", cls=DataCommands)
def command() -> None:
    """Check, count and convert data sets."""

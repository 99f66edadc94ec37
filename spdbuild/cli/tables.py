"""Tables on a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from spdbuild.wording import tables
from spdbuild.wording.phrases import printable


class Table(tables.Table):
    """A table that can be shown."""

    def show(self, *, err: bool = False) -> None:
        """Print on stdout or stderr, as `show` does."""
        show(self, err=err)


def show(table: tables.Table, *, err: bool = False) -> None:
    """Print a table on stdout or stderr: in a terminal with colour and folded to its width, else as wide as it is."""
    stream = sys.stderr if err else sys.stdout
    # Python has no stream where the shell has closed it, and then click says nothing.
    if stream is not None and stream.isatty():
        _show_in_terminal(table, stream)
    else:
        click.echo(table.plain(), file=stream, nl=False)


def _show_in_terminal(table: tables.Table, stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for column in table.columns:
        shown.add_column(printable(column), justify="right" if column in table.numbers else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    Console(file=stream, markup=False, emoji=False).print(shown)

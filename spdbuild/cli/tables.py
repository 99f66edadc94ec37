"""Tables on a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

import click

from spdbuild import tables


class Table(tables.Table):
    """A table that can be shown."""

    def show(self, *, err: bool = False) -> None:
        """Print on stdout or stderr: in a terminal with colour and folded to its width, else as wide as it is."""
        stream = sys.stderr if err else sys.stdout
        # Python has no stream where the shell has closed it, and then click says nothing.
        if stream is not None and stream.isatty():
            self._show_in_terminal(stream)
        else:
            click.echo(self.plain(), file=stream, nl=False)

    def _show_in_terminal(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for column in self.columns:
            table.add_column(column, justify="right" if column in self.numbers else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*map(Text, row))
        Console(file=stream).print(table)

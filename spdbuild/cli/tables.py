"""Tables on a terminal."""

from __future__ import annotations

import re
import sys
from typing import TextIO

import click

from spdbuild.wording.phrases import printable
from spdbuild.wording.tables import Table

#: Spaces between two columns.
_GAP = 2


def show_table(table: Table, *, err: bool = False) -> None:
    """Print a table on stdout or stderr: in a terminal with colour and folded to its width, else as wide as it is.

    Only texts are folded, at spaces. What is still too wide for the terminal is shown with its rows as columns if that
    fits, else unfolded: the terminal wraps its lines.
    """
    stream = sys.stderr if err else sys.stdout
    # Python has no stream where the shell has closed it, and then click says nothing.
    if stream is not None and stream.isatty():
        _show_in_terminal(table, stream)
    else:
        click.echo(table.plain(), file=stream, nl=False)


def _show_in_terminal(table: Table, stream: TextIO) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console(file=stream, markup=False, emoji=False)
    least = _least_widths(table)
    if _whole(least) > console.width:
        turned = _transposed(table)
        least = _least_widths(turned)
        if _whole(least) > console.width:
            click.echo(table.plain(), file=stream, nl=False)
            return
        table = turned
    shown = RichTable(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for column, width in zip(table.columns, _widths(table, least, console.width), strict=True):
        shown.add_column(printable(column), justify="right" if column in table.numbers else "left", width=width)
    for row in table.rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    console.print(shown)


def _transposed(table: Table) -> Table:
    """The table with its rows as columns, which have the first cells as their names."""
    first, *others = zip(table.columns, *table.rows, strict=True)
    return Table(first, first[1:], [*others])


def _whole(widths: list[int]) -> int:
    """The width of all columns with the gaps between them."""
    return sum(widths) + _GAP * (len(widths) - 1)


def _least_widths(table: Table) -> list[int]:
    """The width of each column of which no number and no word is broken."""
    from rich.cells import cell_len

    widths = []
    for name, *cells in zip(table.columns, *table.rows, strict=True):
        # What indents a cell belongs to its first word.
        parts = [name, *cells] if name in table.numbers else re.findall(r"^ *\S+|\S+", "\n".join([name, *cells]), re.M)
        widths.append(max(map(cell_len, map(printable, parts)), default=0))
    return widths


def _widths(table: Table, least: list[int], room: int) -> list[int]:
    """The width of each column: room that is left goes to the ones that need the most lines."""
    from rich.cells import cell_len

    columns = zip(table.columns, *table.rows, strict=True)
    wanted = [max(map(cell_len, map(printable, column))) for column in columns]
    widths = list(least)
    for _ in range(room - _whole(least)):
        place = max(range(len(widths)), key=lambda place: wanted[place] / max(widths[place], 0.5))
        if widths[place] >= wanted[place]:
            break
        widths[place] += 1
    return widths

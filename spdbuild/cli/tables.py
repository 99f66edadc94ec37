"""Tables of text: for a terminal, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

import click


@dataclass
class Table:
    """Rows of cells; `numbers` names the columns that are aligned at the right."""

    columns: Sequence[str]
    numbers: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def show(self, *, err: bool = False) -> None:
        """Print on stdout or stderr: in a terminal with colour and folded to its width, else as wide as it is."""
        stream = sys.stderr if err else sys.stdout
        if stream.isatty():
            self._show_in_terminal(stream)
        else:
            click.echo(self.plain(), file=stream, nl=False)

    def plain(self) -> str:
        """Columns aligned with spaces."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "".join(f"{'  '.join(self._aligned(line, widths)).rstrip()}\n" for line in lines)

    def _aligned(self, line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        for column, cell, width in zip(self.columns, line, widths, strict=True):
            yield cell.rjust(width) if column in self.numbers else cell.ljust(width)

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

    def markdown(self) -> str:
        """A table of Markdown."""
        rule = ["---:" if column in self.numbers else "---" for column in self.columns]
        return "".join(map(_markdown_line, [self.columns, rule, *self.rows]))

    def csv(self) -> str:
        """Comma-separated values, with a header."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()


def _markdown_line(cells: Sequence[str]) -> str:
    escaped = [cell.strip().replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |\n"

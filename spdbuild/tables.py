"""Tables of text: aligned with spaces, as Markdown, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass
class Table:
    """Rows of cells; `numbers` names the columns that are aligned at the right."""

    columns: Sequence[str]
    numbers: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def plain(self) -> str:
        """Columns aligned with spaces."""
        lines = [self.columns, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.columns))]
        return "".join(f"{'  '.join(self._aligned(line, widths)).rstrip()}\n" for line in lines)

    def _aligned(self, line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
        for column, cell, width in zip(self.columns, line, widths, strict=True):
            yield cell.rjust(width) if column in self.numbers else cell.ljust(width)

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

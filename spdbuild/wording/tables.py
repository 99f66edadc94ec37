"""Tables of text: aligned with spaces, as Markdown, HTML and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from spdbuild.wording.phrases import printable


@dataclass
class Table:
    """Rows of cells; `numbers` names the right-aligned columns."""

    columns: Sequence[str]
    numbers: Sequence[str] = ()
    rows: list[Sequence[str]] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]], columns: Iterable[str] = ()) -> Table:
        """A row per record, with `columns` and then all other keys; cells are empty for a missing key or None."""
        records = list(records)
        names = list(dict.fromkeys([*columns, *(name for record in records for name in record)]))
        table = cls(names)
        for record in records:
            values = map(record.get, names)
            table.add(*("" if value is None else str(value) for value in values))
        return table

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def plain(self) -> str:
        """Columns aligned with spaces."""
        cells = [list(map(printable, line)) for line in [self.columns, *self.rows]]
        return "".join(f"{'  '.join(line).rstrip()}\n" for line in self._aligned(cells))

    def markdown(self, *, aligned: bool = False) -> str:
        """A Markdown table. aligned: also with spaces, for those who read the text itself."""
        head, *body = (list(map(_markdown_cell, line)) for line in [self.columns, *self.rows])
        rule = ["---:" if column in self.numbers else "---" for column in self.columns]
        if aligned:
            head, rule, *body = self._aligned([head, rule, *body])
            rule = [cell.replace(" ", "-") for cell in rule]
        return "".join(f"| {' | '.join(line)} |\n" for line in [head, rule, *body])

    def html(self) -> str:
        """An HTML table; right-aligned cells have the class `number`, which `html_page` styles."""
        kinds = [' class="number"' if column in self.numbers else "" for column in self.columns]
        lines = [("th", self.columns), *(("td", row) for row in self.rows)]
        return f"<table>{''.join(_html_line(tag, kinds, cells) for tag, cells in lines)}</table>\n"

    def csv(self) -> str:
        """Comma-separated values, with a header."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def _aligned(self, lines: Sequence[Sequence[str]]) -> Iterator[list[str]]:
        """The lines with cells padded to the widest of their column."""
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        right = [column in self.numbers for column in self.columns]
        for line in lines:
            yield [
                cell.rjust(width) if at_right else cell.ljust(width)
                for cell, width, at_right in zip(line, widths, right, strict=True)
            ]


def _markdown_cell(text: str) -> str:
    # A bar alone would begin another cell, and a line break another row.
    return printable(text.strip()).replace("|", "\\|")


def _html_line(tag: str, kinds: Sequence[str], cells: Sequence[str]) -> str:
    inside = (f"<{tag}{kind}>{escape(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
    return f"<tr>{''.join(inside)}</tr>"

"""CSV files: rows below a first line with the names of the columns, each with its place in the file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

from spdbuild.data.files.listing import entries
from spdbuild.errors import DataError, Location, Problem
from spdbuild.system.files import regular
from spdbuild.wording.phrases import number, some

#: Suffixes of such files.
SUFFIXES = (".csv", ".tsv")
#: What columns may be separated by; of two that separate equally many, the first.
_DELIMITERS = (",", ";", "\t", "|")
_QUOTING = 'a quoted text ends with its value, and quotes within it are doubled: "a ""quoted"" word"'


@dataclass(frozen=True)
class CsvTable:
    """What a file holds, without spaces around names and values.

    header: the names of the columns. rows: as many values each. lines: the line of the file, from 1, on which each row
    begins.
    """

    file: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        """The value of each row in a column."""
        place = self.header.index(name)
        return [row[place].strip() for row in self.rows]

    def problem(self, rows: Sequence[int], message: str, hint: str = "") -> Problem:
        """What is wrong with the first of `rows` and in the same way with the others."""
        more = f", and {number(len(rows) - 1, 'other line')} like it" if len(rows) > 1 else ""
        return Problem(message + more, _place(self.file, self.lines[rows[0]]), hint)


def tables_in(folder: Path) -> list[Path]:
    """The CSV files in a folder, by name, without hidden ones."""
    return [
        path
        for path in entries(folder)
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]


def read_table(file: Path, most: int | None = None) -> CsvTable:
    """The first `most` rows of a file, or all of them; lines without text count for nothing.

    The first line says what separates the columns: a comma, semicolon, tab or vertical bar. Raises DataError for what
    is not CSV in UTF-8, and for a row with too few or too many values.
    """
    text = _text(file)
    rows, lines = list[list[str]](), list[int]()
    begins = 1
    try:
        reader = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(text), skipinitialspace=True, strict=True)
        for row in reader:
            if any(map(str.strip, row)):
                rows.append(row)
                lines.append(begins)
                if most is not None and len(rows) > most:
                    break
            begins = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"this is not CSV: {error}", location=_place(file, begins), hint=_QUOTING) from None
    if not rows:
        raise DataError(f"{file} is empty", hint="it needs a line with the names of columns, and one for each image")
    if len(rows) == 1 and most != 0:
        raise DataError(f"{file} has no rows", hint="below the names of columns it needs one for each image")
    table = CsvTable(file, tuple(name.strip() for name in rows[0]), rows[1:], lines[1:])
    return _rectangular(table)


def _rectangular(table: CsvTable) -> CsvTable:
    """The table without empty values behind its last column; raises DataError if rows have fewer or more values."""
    width = len(table.header)
    columns = f"{number(width, 'column')}: {some(table.header, 6)}"
    odd = [position for position, row in enumerate(table.rows) if len(row) != width]
    short = [position for position in odd if len(table.rows[position]) < width]
    long = [position for position in odd if any(map(str.strip, table.rows[position][width:]))]
    problems = [
        table.problem(
            rows,
            f"a row has {number(len(table.rows[rows[0]]), 'value')}, and the file {columns}",
            hint,
        )
        for rows, hint in (
            (short, "give it a value for each, which may be empty"),
            (long, 'put a text that has what separates the columns into quotes: "..."'),
        )
        if rows
    ]
    if problems:
        raise DataError.gather(problems)
    for position in odd:
        del table.rows[position][width:]
    return table


def _text(file: Path) -> str:
    try:
        content = regular(file).read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(
            "this is not UTF-8",
            location=Location(str(file), line, 1),
            hint="save it again as UTF-8, in Excel as `CSV UTF-8`",
        ) from None


def _delimiter(text: str) -> str:
    """What separates the names of the columns, in the first line with text."""

    def columns(delimiter: str) -> int:
        rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        return len(next(filter(any, rows), ()))

    return max(_DELIMITERS, key=columns)


def _place(file: Path, line: int) -> Location:
    """The beginning of a line of the file."""
    text = next(islice(StringIO(_text(file), newline=""), line - 1, None), "")
    return Location(str(file), line, 1, text.rstrip("\r\n"))

"""CSV files as programs write them, and where the faults of the others are."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest

from spdbuild.data.csv.table import read_table
from spdbuild.errors import DataError

ROWS = [
    ["image", "label", "note"],
    ["a.png", "cat", "x, y; z"],
    ["b.png", "Bär", 'says "no"'],
    ["c.png", "", "two\nlines"],
]


def written(file: Path, text: str | bytes) -> Path:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def error_of(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_table(file)
    return str(caught.value).replace(f"{file.parent}/", "")


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("delimiter", list(",;\t|"))
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_what_pythons_writer_wrote_is_read(tmp_path: Path, bom: bytes, end: str, delimiter: str, quoting: int) -> None:
    rows = [[value.replace("\n", end) for value in row] for row in ROWS]
    with (tmp_path / "all.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)
    table = read_table(written(tmp_path / "a.csv", bom + (tmp_path / "all.csv").read_bytes()))
    assert [list(table.header), *table.rows] == rows
    assert table.lines == [2, 3, 4]
    assert table.column("label") == ["cat", "Bär", ""]


def test_lines_without_text_and_empty_values_behind_the_last_column_count_for_nothing(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "a.csv", "\n image , label\n\na.png , cat,,\n,\nb.png,dog\n\n"))
    assert (table.header, table.lines) == (("image", "label"), [4, 6])
    assert (table.column("image"), table.column("label")) == (["a.png", "b.png"], ["cat", "dog"])


def test_a_row_begins_where_its_first_line_is(tmp_path: Path) -> None:
    table = read_table(written(tmp_path / "a.csv", 'image,label\n"a\n.png",cat\nb.png,dog\n'))
    assert table.lines == [2, 4]


def test_the_first_rows_are_those_of_the_whole_file(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "image,label\na,b\nc,d\ne,f\n")
    assert read_table(file, 2).rows == read_table(file).rows[:2]
    assert read_table(file, 0).header == ("image", "label")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "error: a.csv is empty\n      = hint: it needs a line with the names of columns, and one for each image",
        ),
        (
            "image,label\n",
            "error: a.csv has no rows\n      = hint: below the names of columns it needs one for each image",
        ),
        (
            "image,label\na.png,cat\nb.png\nc.png\n",
            "a.csv:3:1: error: a row has 1 value, and the file 2 columns: image, label, and 1 other line like it\n"
            "    3 | b.png\n      | ^\n      = hint: give it a value for each, which may be empty",
        ),
        (
            "image,label\na.png,cat, big\n",
            "a.csv:2:1: error: a row has 3 values, and the file 2 columns: image, label\n"
            "    2 | a.png,cat, big\n      | ^\n"
            '      = hint: put a text that has what separates the columns into quotes: "..."',
        ),
        (
            'image,label\na.png,cat\n"b.png"x,dog\n',
            "a.csv:3:1: error: this is not CSV: ',' expected after '\"'\n"
            '    3 | "b.png"x,dog\n      | ^\n'
            '      = hint: a quoted text ends with its value, and quotes within it are doubled: "a ""quoted"" word"',
        ),
        (
            b"image,label\na.png,B\xe4r\n",
            "a.csv:2:1: error: this is not UTF-8\n      = hint: save it again as UTF-8, in Excel as `CSV UTF-8`",
        ),
    ],
    ids=["empty", "header", "short", "long", "quotes", "latin1"],
)
def test_the_place_of_a_fault_is_told(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert error_of(written(tmp_path / "a.csv", text)) == message


def test_a_quote_that_is_not_closed_is_told_where_it_begins(tmp_path: Path) -> None:
    assert error_of(written(tmp_path / "a.csv", 'image,label\na.png,cat\n"b.png,dog\nc.png,dog\n')).startswith(
        "a.csv:3:1: error: this is not CSV: unexpected end of data"
    )


def test_arbitrary_bytes_are_an_error_of_ours_or_a_table(tmp_path: Path) -> None:
    drawn = random.Random(0)
    for _ in range(200):
        content = bytes(drawn.choice(b'a,;"\n\r\t\0\xc3\xa4 ') for _ in range(drawn.randrange(30)))
        try:
            table = read_table(written(tmp_path / "a.csv", content))
        except DataError:
            continue
        assert all(len(row) == len(table.header) for row in table.rows)

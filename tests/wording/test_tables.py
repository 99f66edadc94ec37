"""Tables in every form."""

from __future__ import annotations

import pytest

from spdbuild.wording.tables import Table


@pytest.fixture
def table() -> Table:
    made = Table(("name", "n"), ("n",))
    made.add("a|b", "1,000")
    made.add("<c>", "2")
    return made


def test_plain(table: Table) -> None:
    assert table.plain() == "name      n\na|b   1,000\n<c>       2\n"


def test_a_name_with_a_bar_stays_in_its_cell(table: Table) -> None:
    assert table.markdown() == "| name | n |\n| --- | ---: |\n| a\\|b | 1,000 |\n| <c> | 2 |\n"


def test_markdown_to_be_read_as_it_is(table: Table) -> None:
    assert table.markdown(aligned=True) == ("| name |     n |\n| ---- | ----: |\n| a\\|b | 1,000 |\n| <c>  |     2 |\n")


def test_markdown_without_rows_has_a_rule() -> None:
    assert Table(("a", "b"), ("b",)).markdown(aligned=True) == "| a   |    b |\n| --- | ---: |\n"


def test_html_marks_numbers_and_has_no_tags_of_names(table: Table) -> None:
    assert table.html() == (
        '<table><tr><th>name</th><th class="number">n</th></tr>'
        '<tr><td>a|b</td><td class="number">1,000</td></tr>'
        '<tr><td>&lt;c&gt;</td><td class="number">2</td></tr></table>\n'
    )


def test_csv_quotes_what_has_a_comma(table: Table) -> None:
    assert table.csv() == 'name,n\na|b,"1,000"\n<c>,2\n'


def test_records_may_lack_values() -> None:
    table = Table.of([{"b": 1, "c": None}, {"b": 0.5, "d": "x"}], ("a",))
    assert table.csv() == "a,b,c,d\n,1,,\n,0.5,,x\n"


def test_a_table_of_no_records_has_its_columns() -> None:
    assert Table.of((), ("a", "b")).csv() == "a,b\n"


def test_a_cell_does_not_command_the_terminal() -> None:
    table = Table(("tensor", "bytes"))
    table.add("a\x1b[2J\nb", "1")
    assert table.plain() == "tensor       bytes\na\\x1b[2J\\nb  1\n"


def test_a_name_of_two_lines_stays_in_its_row() -> None:
    table = Table(("class", "n"))
    table.add("Hund\nzwei", "1")
    assert table.markdown() == "| class | n |\n| --- | --- |\n| Hund\\nzwei | 1 |\n"
    assert table.markdown(aligned=True).count("\n") == 3

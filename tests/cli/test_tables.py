"""Tables in terminals of many widths."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest

from spdbuild.cli.tables import show_table
from spdbuild.wording.tables import Table

Show = Callable[[Table, int], list[str]]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """The lines of a table in a terminal of some columns."""

    def show(table: Table, columns: int) -> list[str]:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        show_table(table)
        return [line.rstrip() for line in click.unstyle(capsys.readouterr().out).splitlines()]

    return show


def _results() -> Table:
    numbers = ("top1", "parameters", "MACs", "images/s")
    table = Table(("network", *numbers), numbers)
    table.add("resnet20", "0.9361 ± 0.0012", "272,474", "40,813,184", "10,234")
    table.add("resnet20/strided", "0.9261 ± 0.0022", "272,474", "40,813,184", "11,234")
    return table


def test_where_there_is_room_a_table_is_as_it_is_elsewhere(show: Show):
    assert show(_results(), 120) == _results().plain().splitlines()


@pytest.mark.parametrize("columns", [20, 50, 66, 79])
def test_no_number_and_no_name_is_broken(show: Show, columns: int):
    text = "\n".join(show(_results(), columns))
    for cell in ("resnet20/strided", "0.9361 ± 0.0012", "0.9261 ± 0.0022", "40,813,184", "10,234", "parameters"):
        assert cell in text


def test_a_table_that_is_too_wide_has_its_rows_as_columns(show: Show):
    assert show(_results(), 60) == [
        "network            resnet20  resnet20/strided",
        "top1        0.9361 ± 0.0012   0.9261 ± 0.0022",
        "parameters          272,474           272,474",
        "MACs             40,813,184        40,813,184",
        "images/s             10,234            11,234",
    ]


def test_sentences_are_folded_at_spaces(show: Show):
    table = Table(("name", "what it is"))
    table.add("quickstart", "a small recipe that shows what the tools do")
    table.add("  indented", "short")
    assert show(table, 32) == [
        "name        what it is",
        "quickstart  a small recipe that",
        "            shows what the tools",
        "            do",
        "  indented  short",
    ]

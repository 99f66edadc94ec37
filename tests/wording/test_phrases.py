"""Lists in messages."""

from __future__ import annotations

import pytest

from spdbuild.wording.phrases import number, printable, some


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (2003, "0, 1, 2 and 2,000 more")],
)
def test_a_list_ends_with_the_number_of_what_it_does_not_show(count: int, expected: str) -> None:
    assert some(range(count), 3) == expected


def test_behind_semicolons_the_number_stands_apart() -> None:
    assert some(iter(["a, too", "b, too", "c"]), 2, "; ") == "a, too; b, too; and 1 more"


@pytest.mark.parametrize(("count", "expected"), [(0, "0 files"), (1, "1 file"), (2000, "2,000 files")])
def test_one_thing_is_not_several(count: int, expected: str) -> None:
    assert number(count, "file") == expected


def test_what_commands_a_terminal_is_escaped() -> None:
    text = "a\x1b[2J\x07\x9b\r\x7f\tä\nb"
    assert printable(text) == r"a\x1b[2J\x07\x9b\r\x7f\tä\nb"
    assert printable(text, lines=True) == "a\\x1b[2J\\x07\\x9b\\r\\x7f\tä\nb"

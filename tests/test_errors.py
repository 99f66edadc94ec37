"""Several problems as one error."""

from __future__ import annotations

import difflib
import random

import pytest

from spdbuild.errors import Location, Problem, SourceError, nearest_name


def test_problems_of_several_files_are_told_file_by_file() -> None:
    places = [("b.yaml", 7, 1), ("a.yaml", 3, 5), ("b.yaml", 2, 9), ("a.yaml", 3, 2)]
    problems = [Problem(f"{file}:{line}:{column}", Location(file, line, column)) for file, line, column in places]
    gathered = SourceError.gather([*problems, Problem("nowhere"), problems[0]]).problems
    assert [p.message for p in gathered] == ["nowhere", "b.yaml:2:9", "b.yaml:7:1", "a.yaml:3:2", "a.yaml:3:5"]


def test_the_nearest_name_is_that_of_difflib() -> None:
    draw = random.Random(0)
    names = sorted({"".join(draw.choices("abc_1", k=draw.randint(2, 8))) for _ in range(200)})
    for _ in range(200):
        name = "".join(draw.choices("abc_1", k=draw.randint(2, 8)))
        if name not in names:
            assert [nearest_name(name, names)] == (difflib.get_close_matches(name, names, n=1) or [None])


def test_few_of_many_names_that_resemble_each_other_are_compared_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    ratio = difflib.SequenceMatcher.ratio
    monkeypatch.setattr(difflib.SequenceMatcher, "ratio", lambda self: compared.append(self) or ratio(self))
    names = [f"a_name_that_is_long_{number}" for number in range(1000)]
    assert nearest_name("a_name_that_is_lonk_123", names) == "a_name_that_is_long_123"
    assert len(compared) < 100


def test_an_error_does_not_command_the_terminal() -> None:
    place = Location("a\x1b]0;b.yaml", 1, 1, "a line")
    assert str(Problem("no key '\x1b[31m'", place, "did you mean '\x07'?")) == (
        "a\\x1b]0;b.yaml:1:1: error: no key '\\x1b[31m'\n    1 | a line\n      | ^\n      = hint: did you mean '\\x07'?"
    )

"""Several problems as one error."""

from __future__ import annotations

import difflib
import importlib
import pickle
import pkgutil
import random
import re
import signal

import pytest

import spdbuild
from spdbuild import errors
from spdbuild.errors import (
    InputError,
    Location,
    Problem,
    SourceError,
    SpdbuildError,
    StoppedError,
    first_line,
    nearest_name,
)


def test_problems_of_several_files_are_told_file_by_file() -> None:
    places = [("b.yaml", 7, 1), ("a.yaml", 3, 5), ("b.yaml", 2, 9), ("a.yaml", 3, 2)]
    problems = [Problem(f"{file}:{line}:{column}", Location(file, line, column)) for file, line, column in places]
    gathered = SourceError.gather([*problems, Problem("nowhere"), problems[0]]).problems
    assert [p.message for p in gathered] == ["nowhere", "b.yaml:2:9", "b.yaml:7:1", "a.yaml:3:2", "a.yaml:3:5"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n \n  one\ntwo"), "one"),
        (ValueError(" \n"), "ValueError"),
        (ValueError(), "ValueError"),
        (InputError("what is wrong", hint="what to do"), "what is wrong"),
    ],
)
def test_the_first_line_of_an_error_is_the_first_with_text(error: Exception, line: str) -> None:
    assert first_line(error) == line


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


def test_the_tree_names_every_error() -> None:
    for module in pkgutil.walk_packages(spdbuild.__path__, "spdbuild."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, kinds = [], [(SpdbuildError, 0)]
    while kinds:
        kind, depth = kinds.pop()
        if kind.__module__.startswith("spdbuild."):
            found.append((depth, kind.__name__))
            kinds += [(below, depth + 1) for below in kind.__subclasses__()]
    drawn = re.findall(r"^([│ ├└─]*)(\w+)  +\S", errors.__doc__ or "", re.MULTILINE)
    assert sorted((len(margin) // 4, name) for margin, name in drawn) == sorted(found)


def test_a_stopped_run_can_be_pickled() -> None:
    stopped = StoppedError("stopped", signal=signal.SIGTERM, hint="go on")
    again = pickle.loads(pickle.dumps(stopped))
    assert (str(again), again.signal, again.exit_code) == (str(stopped), signal.SIGTERM, 143)
    assert str(stopped) == "error: stopped\n      = hint: go on"
    assert not isinstance(stopped, Exception)

"""Mutated architecture files: every outcome is a graph or an error with a place, in bounded memory."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import spdbuild
from spdbuild import builtin
from spdbuild.errors import InputError
from spdbuild.text.source import parse_scalar

SEEDS = [path.read_text() for path in builtin.listed("architectures").values()]
WRONG = [path.read_text() for path in sorted((Path(__file__).parent / "errors").glob("*.yaml"))]
TOKENS = [
    "(", ")", "[", "]", "{", "}", ",", ":", "- ", "<-", "*", "**", "when=", "true", "null", "0", "-1", "1e400",
    "10 ** 9", "999999999999", "'", '"', "\t", "\n", "  ", "&a", "*a", "!!str", "---\n", "|", ">", "#",
    "input", "in_channels", "\u2028", "é", "\\d",
]  # fmt: skip


def attempt(call: Callable[[], Any]) -> Any:
    """What a call gives, or the error with which a person's text may be refused."""
    try:
        return call()
    except (InputError, ValueError) as error:
        return error


def peak_memory() -> int:
    """Bytes, the most that this process has had, with what other tests took."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def mutate(text: str, edits: list[tuple[float, int, str]]) -> str:
    for place, length, token in edits:
        start = int(place * len(text))
        text = text[:start] + token + text[start + length :]
    return text


edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 30), st.one_of(st.sampled_from(TOKENS), st.text(max_size=6))),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300)
@given(text=st.sampled_from(SEEDS + WRONG), changes=edits)
def test_a_mutated_file_is_a_graph_or_a_positioned_error(text: str, changes: list[tuple[float, int, str]]) -> None:
    before = peak_memory()
    outcome = attempt(lambda: spdbuild.load(mutate(text, changes) + "\n"))
    problems = outcome.problems if isinstance(outcome, InputError) else ()
    assert all(problem.location for problem in problems), str(outcome)
    assert isinstance(outcome, InputError) or len(outcome.graph) >= 1
    assert peak_memory() - before < 2**30


@given(st.text(max_size=40))
def test_any_text_is_a_scalar_or_refused(text: str) -> None:
    outcome = attempt(lambda: parse_scalar(text))
    if isinstance(outcome, ValueError):
        assert str(outcome) == "the number is too large"
    else:
        assert outcome is None or isinstance(outcome, bool | int | float | str)


@pytest.mark.parametrize("text", ["1e-3", "+.5", "0x1F", "-0", "1_000", "1:30", "yes", "010"])
def test_scalars_follow_yaml_1_2(text: str) -> None:
    expected = {"1e-3": 0.001, "+.5": 0.5, "0x1F": 31, "-0": 0, "010": 10}
    assert parse_scalar(text) == expected.get(text, text)

"""Names picked by patterns, and patterns found for names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spdbuild.errors import RecipeError
from spdbuild.text.patterns import cover, matches, pick, unmatched

NAMES = ["stem.weight", "head.0.weight", "head.0.bias", "head.1.weight", "headless.weight"]


def test_a_name_stands_for_all_below_it_and_for_nothing_beside_it() -> None:
    assert pick(NAMES, ["head"], "fresh", "weight") == ["head.0.weight", "head.0.bias", "head.1.weight"]
    assert pick(NAMES, ["*.bias", "stem"], "fresh", "weight") == ["stem.weight", "head.0.bias"]


def test_a_pattern_that_matches_nothing_is_named_with_the_nearest_name() -> None:
    with pytest.raises(RecipeError, match="weights.fresh: no weight matches 'haed'") as caught:
        pick(NAMES, ["stem", "haed"], "weights.fresh", "weight")
    assert caught.value.problems[0].hint == "did you mean 'head'?"


def test_names_are_covered_by_the_shortest_patterns() -> None:
    assert cover(["head.0.weight", "head.0.bias"], NAMES) == ["head.0"]
    assert cover(["head.0.weight", "head.0.bias", "head.1.weight"], NAMES) == ["head"]
    assert cover(["head.0.bias", "stem.weight"], NAMES) == ["stem", "head.0.bias"]
    assert cover([], NAMES) == []


def test_a_star_stands_for_any_text_in_a_name_or_one_that_it_is_below() -> None:
    assert matches("stage1.first.skip.conv", ["*.skip"])
    assert matches("stem.weight", ["st*"])
    assert not matches("stem.weight", ["*.skip", "weight"])


def test_a_pattern_without_a_match_is_told_with_a_name_near_it() -> None:
    assert list(unmatched(["head", "head.2", "stam.*"], NAMES)) == [
        ("head.2", "did you mean 'head.1'?"),
        ("stam.*", "did you mean 'stem'?"),
    ]


EVERY = [*NAMES, "head.1.0.weight", "head.1.0.bias", "head.1.1.weight", "neck.weight", "neck.0.weight"]


@given(st.sets(st.sampled_from(EVERY)))
def test_patterns_that_cover_names_pick_just_these(chosen: set[str]) -> None:
    assert set(pick(EVERY, cover(chosen, EVERY), "fresh", "weight")) == chosen

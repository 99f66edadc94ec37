"""Groups of images by what their names have in common."""

from __future__ import annotations

import re

import pytest

from spdbuild.errors import ArgumentError
from spdbuild.text.together import group_numbers, pattern_of

NAMES = ("cat/anna_1.png", "dog/anna_2.png", "cat/otto_1.png", "cat/anna_3.png")


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ("[a-z]+_", [0, 0, 1, 0]),
        (r"([a-z]+)_\d", [0, 0, 1, 0]),
        (r"^(\w+)/([a-z]+)", [0, 1, 2, 0]),
        # Parentheses that match nothing do not count.
        (r"^.*(anna)|.+", [0, 0, 1, 0]),
        (r"^.*(anna)|cat.+", [0, 0, 1, 0]),
    ],
)
def test_what_matches_the_same_is_together(pattern: str, groups: list[int]) -> None:
    assert group_numbers(re.compile(pattern), NAMES) == groups


def test_a_pattern_must_tell_groups_apart() -> None:
    with pytest.raises(ArgumentError, match=r"the pattern '_\\d' matches nothing in the name of image 'cat/b.png'"):
        group_numbers(re.compile(r"_\d"), [*NAMES, "cat/b.png"])
    with pytest.raises(ArgumentError, match="the pattern '_' puts all 4 images into one group"):
        group_numbers(re.compile("_"), NAMES)


@pytest.mark.parametrize(
    "pattern", ["anna", "(a)nna", "^.*/(anna)", "dog|cat/anna", r"(n)\1", "(?i)ANNA", "(?si)(A)NNA"]
)
def test_the_pattern_that_is_proposed_leaves_the_other_images_alone(pattern: str) -> None:
    names = (*NAMES, "cat/otto_2.png")
    with pytest.raises(ArgumentError, match="matches nothing in the name of image 'cat/otto_1.png'") as raised:
        group_numbers(re.compile(pattern), names)
    found = re.match("with '(.*)' each image without a match is a group of its own", raised.value.problems[0].hint)
    assert found is not None
    groups = group_numbers(re.compile(found[1]), names)
    others = [groups[place] for place in (0, 1, 3)]
    assert len({*others, groups[2], groups[4]}) == len({*others}) + 2
    assert others == ([0, 1, 0] if "|" in pattern else [0, 0, 0])


def test_what_is_no_pattern() -> None:
    assert pattern_of(None) is None
    with pytest.raises(ArgumentError, match=r"'a\(' is no regular expression: missing \)") as raised:
        pattern_of("a(")
    assert raised.value.argument == "together"
    assert raised.value.problems[0].hint == r"for example '^(\d+)_', or 'patient\d+'"

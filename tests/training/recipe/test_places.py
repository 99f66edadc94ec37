"""Errors get the places of the keys that they are about."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from spdbuild.errors import ArgumentError, InputError, Location, RecipeError
from spdbuild.text.source import Source, parse_yaml
from spdbuild.training.recipe.places import Placed
from spdbuild.training.recipe.sections import read_section


@dataclass(frozen=True)
class Section(Placed):
    """Something read from a file."""


@dataclass(frozen=True)
class Bins:
    """A section that refuses what it is given."""

    sizes: dict[str, float]
    refused: str

    def __post_init__(self) -> None:
        raise ArgumentError("no", argument=self.refused)


SECTION = Section(places=parse_yaml(Source("s.yaml", "a: 1\nb:\n  c: [x, y]\n")))


def place(section: Section, error: InputError, *keys: str, arguments: str = "") -> str:
    with pytest.raises(InputError) as caught, section.about(*keys, arguments=arguments):
        raise error
    return str(caught.value).splitlines()[0]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("a",), "s.yaml:1:4: error: no"),
        (("b.c",), "s.yaml:3:6: error: no"),
        (("b.c.1",), "s.yaml:3:10: error: no"),
        (("b.c.2", "b.d", "a.a", "b"), "s.yaml:3:3: error: no"),
        (("d",), "error: no"),
    ],
    ids=["key", "key below a key", "entry of a list", "first that is there", "none"],
)
def test_an_error_gets_the_place_of_the_first_key_that_is_there(keys: tuple[str, ...], expected: str) -> None:
    assert place(SECTION, InputError("no"), *keys) == expected


def test_the_argument_that_an_error_names_is_looked_for_first() -> None:
    assert place(SECTION, ArgumentError("no", argument="c"), "a", arguments="b") == "s.yaml:3:6: error: no"
    assert place(SECTION, ArgumentError("no", argument="d"), "a", arguments="b") == "s.yaml:1:4: error: no"


def test_a_place_in_another_file_stays_and_says_what_led_there() -> None:
    with pytest.raises(InputError) as caught, SECTION.about("b.c"):
        raise InputError("no", location=Location("other.yaml", 7, 1))
    assert str(caught.value) == "other.yaml:7:1: error: no\n      = because of 'b.c' in s.yaml:3:6"


def test_another_key_of_a_recipe_is_not_led_to() -> None:
    with pytest.raises(RecipeError) as caught, SECTION.about("b.c"):
        raise RecipeError("no", location=Location("command line", 1, 7))
    assert str(caught.value) == "command line:1:7: error: no"


def test_a_section_that_was_read_from_nothing_knows_no_place() -> None:
    assert place(Section(), InputError("no"), "a") == "error: no"
    assert Section() == SECTION


@pytest.mark.parametrize(
    ("argument", "place"),
    [("sizes", "s.yaml:1:8"), ("sizes.L", "s.yaml:1:18"), ("sizes.M", "s.yaml:1:8"), ("other", "s.yaml:1:1")],
)
def test_what_a_section_refuses_has_the_place_nearest_to_its_argument(argument: str, place: str) -> None:
    text = f"sizes: {{S: 1, L: 2}}\nrefused: {argument}\n"
    with pytest.raises(ArgumentError) as caught:
        read_section(Bins, parse_yaml(Source("s.yaml", text)))
    assert str(caught.value).startswith(f"{place}: error: no\n")

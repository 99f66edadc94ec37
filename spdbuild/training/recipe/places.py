"""Sections that know where they were written, so that errors found later can name the place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from spdbuild.errors import ArgumentError, Location, Problem, RecipeError, SpdbuildError
from spdbuild.text.source import Value


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Base of sections that know their places; `places` is what the section was read from, and not a key of it."""

    places: Value | None = field(default=None, compare=False, repr=False)

    def entry(self, *keys: str) -> Value | None:
        """The value that was written under the first of `keys` that exists; "data.root" is a key below a key."""
        found = (_below(self.places, key) for key in keys)
        return next((value for value in found if value is not None), None)

    def place(self, *keys: str) -> Location | None:
        """Where that value is."""
        value = self.entry(*keys)
        return value.location if value else None

    @contextmanager
    def about(self, *keys: str, arguments: str = "") -> Iterator[None]:
        """Give errors raised in the context the place of the first of `keys` that exists.

        arguments: the key with the arguments that an ArgumentError may name; the error becomes a RecipeError there.
        An error with a place in another file says in its trail which key led there; a RecipeError with a place is about
        another key of the recipe, wherever that was written.
        """
        try:
            yield
        except SpdbuildError as error:
            argument = [f"{arguments}.{error.argument}"] if arguments and isinstance(error, ArgumentError) else []
            found = {key: place for key in (*argument, *keys) if (place := self.place(key)) is not None}
            if not found:
                raise
            key, place = next(iter(found.items()))
            placed = error.at(place)
            if key in argument:
                placed = RecipeError.gather(placed.problems)
            elif not isinstance(error, RecipeError):
                placed.problems = tuple(_led_to(problem, key, place) for problem in placed.problems)
            raise placed from None


def _below(value: Value | None, key: str) -> Value | None:
    for step in key.split("."):
        inside = value.data if value else None
        if isinstance(inside, list) and step.isdecimal() and int(step) < len(inside):
            value = inside[int(step)]
        elif isinstance(inside, dict) and step in inside:
            value = inside[step]
        else:
            return None
    return value


def _led_to(problem: Problem, key: str, place: Location) -> Problem:
    if problem.location is None or problem.location.file == place.file:
        return problem
    return replace(problem, trail=problem.trail or (f"because of '{key}' in {place}",))

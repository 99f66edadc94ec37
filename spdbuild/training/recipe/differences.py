"""The differences between two recipes, and which keys may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spdbuild.declaring.roles import Role, role_of
from spdbuild.errors import Location
from spdbuild.training.ordered import ORDERED
from spdbuild.training.recipe.recipe import Recipe
from spdbuild.training.recipe.sections import fields_of, plain, section_below


@dataclass(frozen=True)
class KeyDifference:
    """A key whose value differs: its path, such as optimizer.lr; its role; and the place of its new value."""

    key: str
    role: Role
    place: Location | None


def differences(before: Recipe, after: Recipe) -> list[KeyDifference]:
    """The innermost keys that have other values in `after`, in the order of its keys.

    Of a mapping whose order matters, and which differs in nothing else, it is the key of the mapping.
    """
    return [
        KeyDifference(path, role, after.place(*_around(path)))
        for path, role in _differing(Recipe, plain(before), plain(after), "", Role(0))
    ]


def keys_with(role: Role, recipe: Recipe) -> list[str]:
    """The outermost keys with a role among those of the sections of `recipe`, sorted by name."""
    return sorted(_having(role, Recipe, plain(recipe), ""))


def _differing(
    section: type[Any] | None, old: Mapping[str, Any], new: Mapping[str, Any], above: str, inherited: Role
) -> Iterator[tuple[str, Role]]:
    """Paths and roles; `section` is the dataclass whose fields the keys are, None for free-form keys."""
    fields = {field.name: field for field in fields_of(section)} if section else {}
    missing = object()
    for key in {**new, **old}:
        was, is_now, path = old.get(key, missing), new.get(key, missing), f"{above}{key}"
        role = inherited | (role_of(fields[key]) if key in fields else Role(0))
        if isinstance(was, Mapping) and isinstance(is_now, Mapping):
            below = section_below(section, key, is_now) if section and key in fields else None
            inside = list(_differing(below, was, is_now, f"{path}.", role))
            yield from inside
            if not inside and path in ORDERED and list(was) != list(is_now):
                yield path, role
        elif was != is_now:
            yield path, role


def _having(role: Role, section: type[Any], values: Mapping[str, Any], above: str) -> Iterator[str]:
    for field in fields_of(section):
        value, path = values.get(field.name), f"{above}{field.name}"
        if role in role_of(field):
            yield path
        elif isinstance(value, Mapping) and (below := section_below(section, field.name, value)):
            yield from _having(role, below, value, f"{path}.")


def _around(path: str) -> list[str]:
    """A path and those of its enclosing sections, innermost first: a.b.c, a.b, a."""
    steps = path.split(".")
    return [".".join(steps[:end]) for end in range(len(steps), 0, -1)]

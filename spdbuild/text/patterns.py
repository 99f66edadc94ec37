"""Patterns of dotted names: "stem" matches `stem` and all below it, "*.norm" every name that ends in ".norm"."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from fnmatch import fnmatchcase

from spdbuild.errors import RecipeError, nearest


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches the name or one of its parents."""
    return any(fnmatchcase(head, pattern) for pattern in patterns for head in _heads(name))


def unmatched(patterns: Iterable[str], names: Collection[str]) -> Iterator[tuple[str, str]]:
    """The patterns that match none of the names, each with a hint of what was meant."""
    for pattern in patterns:
        if not any(matches(name, (pattern,)) for name in names):
            yield pattern, nearest(pattern, {head for name in names if name for head in _heads(name)})


def pick(names: Collection[str], patterns: Collection[str], key: str, kind: str) -> list[str]:
    """Those of `names` that a pattern matches, in their order; RecipeError for a pattern that matches nothing.

    key, kind: where the patterns are in a recipe, and what they match, for the message.
    """
    for pattern, hint in unmatched(patterns, names):
        raise RecipeError(f"{key}: no {kind} matches '{pattern}'", hint=hint)
    return [name for name in names if matches(name, patterns)]


def cover(picked: Collection[str], names: Collection[str]) -> list[str]:
    """The shortest patterns that match all of `picked` and none of the other `names`, in the order of `names`."""
    chosen = set(picked)
    others = {head for name in names if name not in chosen for head in _heads(name)}
    shortest = (next(head for head in _heads(name) if head not in others) for name in names if name in chosen)
    return list(dict.fromkeys(shortest))


def _heads(name: str) -> list[str]:
    """A name cut after each of its parts: a, a.b, a.b.c."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]

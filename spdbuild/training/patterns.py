"""Names picked by patterns: "stem.*" matches all below `stem`, and so does "stem"."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase

from spdbuild.errors import RecipeError, nearest


def pick(names: Collection[str], patterns: Iterable[str], key: str, kind: str) -> list[str]:
    """Those of `names` that a pattern matches, in their order; RecipeError for a pattern that matches nothing.

    key, kind: where the patterns are in a recipe, and what they match, for the message.
    """
    picked: set[str] = set()
    for pattern in patterns:
        matching = [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
        if not matching:
            known = {part for name in names for part in (name, name.split(".")[0])}
            raise RecipeError(f"{key}: no {kind} matches '{pattern}'", hint=nearest(pattern, known))
        picked.update(matching)
    return [name for name in names if name in picked]


def cover(picked: Collection[str], names: Collection[str]) -> list[str]:
    """The shortest patterns that match all of `picked` and none of the other `names`, in the order of `names`."""
    chosen = set(picked)
    others = {head for name in names if name not in chosen for head in _heads(name)}
    shortest = (next(head for head in _heads(name) if head not in others) for name in names if name in chosen)
    return list(dict.fromkeys(shortest))


def _heads(name: str) -> list[str]:
    """A name cut behind each of its parts: a, a.b, a.b.c."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]

"""What one recipe has other than another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spdbuild.errors import Location
from spdbuild.training.recipe.recipe import Recipe
from spdbuild.training.recipe.sections import plain


def differences(before: Recipe, after: Recipe) -> dict[str, Location | None]:
    """The keys that have other values in `after`, each with the place in `after` of what differs."""
    old, new = plain(before), plain(after)
    return {key: after.place(*reversed(_way(key, old[key], new[key]))) for key in new if old[key] != new[key]}


def _way(key: str, old: Any, new: Any) -> list[str]:
    """`key` and the keys below it that lead to the first value that differs, such as optimizer and optimizer.lr."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in new:
            if name not in old or old[name] != new[name]:
                return [key, *_way(f"{key}.{name}", old.get(name), new[name])]
    return [key]

"""Unique names."""

from __future__ import annotations

from collections.abc import Sequence

from spdbuild.reporting.conditions import Conditions, differing, value_text


def unique_names(names: Sequence[str], several: Sequence[Conditions]) -> list[str]:
    """The names, each duplicate followed by what differs: `quickstart (epochs=12)`.

    several: the conditions that each name stands for, no two alike.
    """
    found = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        places = [i for i, other in enumerate(names) if other == name]
        paths = _distinguishing([several[i] for i in places])
        for i in places:
            told = ", ".join(f"{path}={value_text(several[i], path)}" for path in paths)
            found[i] = f"{name} ({told})"
    return found


def _distinguishing(several: Sequence[Conditions]) -> list[str]:
    """Key paths, no more than are needed, whose values distinguish all conditions."""
    chosen, told = list[str](), 1
    for path in [*differing(several), "architecture.yaml"]:
        apart = len({tuple(value_text(conditions, key) for key in (*chosen, path)) for conditions in several})
        if apart > told:
            chosen, told = [*chosen, path], apart
    return chosen

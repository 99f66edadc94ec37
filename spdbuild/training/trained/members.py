"""What makes the mean of the weights of several runs doubtful: other inputs, and images of one that another learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spdbuild.text.source import parse_yaml, read_source
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.wording.phrases import some

#: Keys of a recipe that say what a network gets of an image.
_INPUT = (("input",), ("preprocess",), ("data", "size"), ("data", "resize"), ("data", "levels"))
_FOLD = ("data", "fold")


def doubts(runs: Sequence[RunFolder]) -> tuple[str, ...]:
    """Lines on runs whose mean may not be what one takes it for; none if there is nothing to say."""
    recipes = {run: parse_yaml(read_source(run.recipe)).plain() for run in runs}
    lines = []
    first, *others = recipes
    for key in _INPUT:
        other = next((run for run in others if _value(recipes[run], key) != _value(recipes[first], key)), None)
        if other is not None:
            name = ".".join(key)
            lines.append(f"{other.path} and {first.path} differ in '{name}': one network cannot get what both have got")
    folds = sorted({fold for recipe in recipes.values() if (fold := _value(recipe, _FOLD)) is not None})
    if len(folds) > 1:
        told = some([str(fold) for fold in folds], 5)
        lines.append(
            f"the runs are of the folds {told}, so each has learned images that others are evaluated on: measure the "
            "mean on other images, such as those of a split test"
        )
    return tuple(lines)


def _value(recipe: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value of a key path; None where there is no such key."""
    found: Any = recipe
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found

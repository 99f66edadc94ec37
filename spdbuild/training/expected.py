"""What a recipe expects of the metrics at the end of a run."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from spdbuild.errors import RecipeError, RunError, nearest

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe


#: Names of metrics that are shares: those of a classifier, and of a detector with its limits and sizes.
_SHARE = re.compile(r"top\d+|mean_class_top1|A[PR]\d*(_.+)?|precision|recall|F1|fitness")


def check_expected(recipe: Recipe) -> None:
    """Refuse a metric that the task does not have, and a value that it cannot have; raises RecipeError."""
    known = recipe.task.metrics()
    for name, bound in recipe.expect.items():
        place = recipe.place(f"expect.{name}", "expect")
        if name not in known:
            raise RecipeError(f"there is no metric '{name}'", location=place, hint=nearest(name, known))
        if not math.isfinite(bound):
            raise RecipeError(f"what is expected of {name} must be a finite number, got {bound}", location=place)
        if _SHARE.fullmatch(name) and not 0 <= bound <= 1:
            hint = f"{bound:g} % is {bound / 100:g}" if 0 < bound <= 100 else ""
            raise RecipeError(f"{name} is between 0 and 1, and {bound:g} is expected", location=place, hint=hint)


def check_metrics(recipe: Recipe, metrics: Mapping[str, float]) -> None:
    """Fail a run with a metric that is worse than the recipe expects, or that its data cannot tell; raises RunError."""
    for name, bound in recipe.expect.items():
        higher = recipe.task.metrics()[name] == "higher"
        wanted = f"the recipe expects at {'least' if higher else 'most'} {bound:g}"
        if name not in metrics:
            raise RunError(f"the data has nothing to measure {name} with, and {wanted}")
        # Written so that what is not a number fails.
        if not (metrics[name] >= bound if higher else metrics[name] <= bound):
            raise RunError(f"{name} is {metrics[name]:.4f}, and {wanted}")

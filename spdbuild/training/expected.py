"""What a recipe expects of the metrics at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spdbuild.errors import RecipeError, RunError, nearest

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe


def check_names(recipe: Recipe) -> None:
    """Refuse a metric that the task does not have; raises RecipeError."""
    known = recipe.task.metrics()
    for name in recipe.expect:
        if name not in known:
            place = recipe.place(f"expect.{name}", "expect")
            raise RecipeError(f"there is no metric '{name}'", location=place, hint=nearest(name, known))


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

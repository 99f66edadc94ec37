"""What a recipe expects of the metrics at the end of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping

from spdbuild.errors import RecipeError, RunError, nearest
from spdbuild.training.recipe.places import Placed
from spdbuild.training.task import Metric


def check_expected(expect: Mapping[str, float], known: Mapping[str, Metric], recipe: Placed) -> None:
    """Refuse unknown metrics, and values that a metric cannot have; raises RecipeError."""
    for name, bound in expect.items():
        place = recipe.place(f"expect.{name}", "expect")
        if name not in known:
            raise RecipeError(f"there is no metric '{name}'", location=place, hint=nearest(name, known))
        if not math.isfinite(bound):
            raise RecipeError(f"what is expected of {name} must be a finite number, got {bound}", location=place)
        if known[name].share and not 0 <= bound <= 1:
            hint = f"{bound:g} % is {bound / 100:g}" if 0 < bound <= 100 else ""
            raise RecipeError(f"{name} is between 0 and 1, and {bound:g} is expected", location=place, hint=hint)


def check_metrics(expect: Mapping[str, float], known: Mapping[str, Metric], metrics: Mapping[str, float]) -> None:
    """Fail a run with a metric that is worse than expected, or that its data does not define; raises RunError."""
    for name, bound in expect.items():
        higher = known[name].better == "higher"
        wanted = f"the recipe expects at {'least' if higher else 'most'} {bound:g}"
        if name not in metrics:
            raise RunError(f"the data has nothing to measure {name} with, and {wanted}")
        # Written so that NaN fails.
        if not (metrics[name] >= bound if higher else metrics[name] <= bound):
            raise RunError(f"{name} is {metrics[name]:.4f}, and {wanted}")

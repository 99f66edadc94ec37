"""Checks of a recipe that need no data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spdbuild.errors import Problem, RecipeError, SpdbuildError
from spdbuild.graph import Graph
from spdbuild.training.network import resolve
from spdbuild.training.recipe import Network, Recipe, load_recipe, twins
from spdbuild.training.recipe.overrides import Overrides


def check_recipe(
    recipe: str | Path | Mapping[str, Any] | Recipe, overrides: Overrides = (), *, allow_imports: bool = False
) -> tuple[Recipe, dict[str, Graph]]:
    """The recipe, and the graphs of its network, its twins and their teachers by name, after their passes.

    The shapes are those that the architectures declare. All problems are raised together, with their places.

    recipe: a path, the name of a built-in recipe, YAML text, a mapping of keys, or a loaded recipe, which `overrides`
        do not change.
    allow_imports: whether Python files that the architectures name under `imports:` may run.
    """
    wanted = recipe if isinstance(recipe, Recipe) else load_recipe(recipe, overrides)
    wanted.task.require(wanted)
    graphs: dict[str, Graph] = {}
    problems: list[Problem] = []
    for name, network in _networks(wanted).items():
        try:
            graphs[name] = resolve(network, allow_imports=allow_imports).graph
        except SpdbuildError as error:
            problems += error.problems
    if problems:
        raise RecipeError.gather(problems)
    return wanted, graphs


def _networks(recipe: Recipe) -> dict[str, Network]:
    found: dict[str, Network] = {}
    for name, one in {recipe.title or "run": recipe, **twins(recipe, recipe.places)}.items():
        found[name] = one
        if one.distill is not None:
            found[f"teacher of {name}"] = one.distill
    return found

"""Recipes: one training run as a plain YAML mapping, checked as a whole before anything starts."""

from spdbuild.training.recipe.options import DistillOptions, EmaOptions, FirstWeights, Network
from spdbuild.training.recipe.reading import load_recipe, twins
from spdbuild.training.recipe.recipe import Recipe
from spdbuild.training.recipe.schema import recipe_schema

__all__ = [
    "DistillOptions",
    "EmaOptions",
    "FirstWeights",
    "Network",
    "Recipe",
    "load_recipe",
    "recipe_schema",
    "twins",
]

"""Recipes as texts."""

from __future__ import annotations

import pytest

from spdbuild.errors import SpdbuildError
from spdbuild.training.recipe import Recipe, load_recipe

BASE = "architecture: resnet50\ndata: {name: digits}\n"


def read(text: str, *overrides: str) -> Recipe:
    """The recipe of BASE and a text, with overrides."""
    return load_recipe(BASE + text, overrides)


def message(text: str, *overrides: str) -> str:
    """The error that a text and overrides give."""
    with pytest.raises(SpdbuildError) as caught:
        load_recipe(text, overrides)
    return str(caught.value)

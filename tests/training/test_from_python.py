"""What a program gives to training and evaluation, and what they leave alone in it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from spdbuild.errors import ArgumentError, RecipeError, WeightsError
from spdbuild.training.evaluate import evaluate
from spdbuild.training.predict import predict
from spdbuild.training.recipe import load_recipe
from spdbuild.training.run import train
from spdbuild.training.stored_run import load_model


@pytest.fixture
def folder(recipe: Path, tmp_path: Path) -> Path:
    return train(recipe, ["max_steps=2"], runs=tmp_path / "runs", quiet=True).folder


def test_a_model_that_is_loaded_is_evaluated_as_its_run(folder: Path) -> None:
    model = load_model(folder)
    assert evaluate(model, speed=False).evaluation.metrics == evaluate(folder, speed=False).evaluation.metrics
    assert evaluate(model, speed=False).stored is model


def test_a_model_that_is_loaded_predicts_as_its_run(folder: Path) -> None:
    picture = folder / "report" / "samples.png"
    model = load_model(folder)
    (again,), (first,) = (list(predict(source, picture)) for source in (model, folder))
    assert again.found == first.found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"overrides": "batch=3"}, "a model that is loaded already takes no overrides"),
        ({"weights": "other.safetensors"}, "a model that is loaded already takes no weights"),
    ],
)
def test_a_model_that_is_loaded_stays_as_it_is(folder: Path, given: dict[str, str], message: str) -> None:
    model = load_model(folder)
    for call in (lambda: evaluate(model, **given), lambda: list(predict(model, folder, **given))):  # type: ignore[arg-type]
        with pytest.raises(ArgumentError, match=message):
            call()


def test_a_model_of_other_classes_is_not_evaluated(folder: Path, tmp_path: Path) -> None:
    model = load_model(folder)
    others = load_model(folder, overrides="data={name: generated, classes: 3, train: 30, test: 9}")
    assert others.classes == model.classes
    with pytest.raises(WeightsError, match="the weights are for 10 classes and the data has 3"):
        evaluate(others, speed=False)


def test_a_recipe_may_be_a_mapping(recipe: Path) -> None:
    wanted = load_recipe(recipe)
    given = yaml.safe_load(recipe.read_text())
    # A mapping has no file, whose name would be the title.
    assert load_recipe({**given, "title": wanted.title}) == wanted
    with pytest.raises(RecipeError, match="'epochs' must be a whole number") as caught:
        load_recipe({**given, "epochs": "ten"})
    assert str(caught.value.problems[0].location).startswith("recipe:")


def test_overrides_may_be_a_mapping(recipe: Path) -> None:
    given = {"epochs": 2, "optimizer.lr": 1e-3, "augment": [], "title": "1e3", "patience": None, "vars.classes": 12}
    wanted = ["epochs=2", "optimizer.lr=0.001", "augment=[]", "title='1e3'", "patience=null", "vars.classes=12"]
    assert load_recipe(recipe, given) == load_recipe(recipe, wanted)


@pytest.mark.parametrize("given", [5, None, ["a", "b"]])
def test_what_is_no_recipe_is_told(given: object) -> None:
    with pytest.raises(ArgumentError, match="a recipe is a path, a built-in name, YAML text or a mapping of keys, got"):
        train(given)  # type: ignore[arg-type]


def test_random_numbers_of_the_program_are_its_own(recipe: Path, tmp_path: Path) -> None:
    def drawn(*, training: bool) -> tuple[float, float, float]:
        random.seed(5), np.random.seed(5), torch.manual_seed(5)
        if training:
            train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True)
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    assert drawn(training=True) == drawn(training=False)

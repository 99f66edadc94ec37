"""What a recipe expects at the end: names that are checked first, and bounds that are checked last."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from spdbuild.errors import RecipeError, RunError
from spdbuild.training.recipe import load_recipe
from spdbuild.training.recipe.expected import check_metrics
from spdbuild.training.running.run import train

CLASSIFIER = "architecture: resnet18\ndata: {name: digits}\n"
DETECTOR = "architecture: yolov5\ndata: {name: tiny_objects}\n"


def check(recipe: str, metrics: dict[str, float]) -> None:
    read = load_recipe(recipe)
    check_metrics(read.expect, read.task.metrics(), metrics)


@pytest.mark.parametrize(
    ("expect", "metrics"),
    [("top1: 0.9", {"top1": 0.9}), ("loss: 0.5", {"loss": 0.5}), ("loss: 0.5", {"loss": 0.1})],
)
def test_what_is_as_good_as_expected_passes(expect: str, metrics: dict[str, float]) -> None:
    check(CLASSIFIER + f"expect: {{{expect}}}\n", metrics)


@pytest.mark.parametrize(
    ("expect", "metrics", "message"),
    [
        ("top1: 0.9", {"top1": 0.89}, "top1 is 0.8900, and the recipe expects at least 0.9"),
        ("loss: 0.5", {"loss": 0.51}, "loss is 0.5100, and the recipe expects at most 0.5"),
        ("top1: 0.9", {"top1": math.nan}, "top1 is nan, and the recipe expects at least 0.9"),
        ("loss: 0.5", {"loss": math.nan}, "loss is nan, and the recipe expects at most 0.5"),
    ],
)
def test_what_is_worse_than_expected_fails(expect: str, metrics: dict[str, float], message: str) -> None:
    with pytest.raises(RunError) as caught:
        check(CLASSIFIER + f"expect: {{{expect}}}\n", metrics)
    assert caught.value.problems[0].message == message


def test_what_the_data_cannot_tell_fails() -> None:
    with pytest.raises(RunError, match="the data has nothing to measure AP_L with"):
        check(DETECTOR + "expect: {AP_L: 0.1}\n", {"AP": 0.5})


@pytest.mark.parametrize(
    ("text", "name", "hint"), [(CLASSIFIER, "top", "did you mean 'top5'?"), (DETECTOR, "mAP50", "did you mean 'AP50'?")]
)
def test_an_unknown_metric_is_named_before_training(text: str, name: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(text + f"expect:\n  {name}: 0.9\n")
    problem = caught.value.problems[0]
    assert (problem.message, problem.hint) == (f"there is no metric '{name}'", hint)
    assert problem.location is not None
    assert problem.location.line == 4


@pytest.mark.parametrize(
    ("text", "expect", "message", "hint"),
    [
        (CLASSIFIER, "top1: 95", "top1 is between 0 and 1, and 95 is expected", "95 % is 0.95"),
        (CLASSIFIER, "mean_class_top1: 2", "mean_class_top1 is between 0 and 1, and 2 is expected", "2 % is 0.02"),
        (CLASSIFIER, "top5: -0.1", "top5 is between 0 and 1, and -0.1 is expected", ""),
        (DETECTOR, "AP50: 31.5", "AP50 is between 0 and 1, and 31.5 is expected", "31.5 % is 0.315"),
        (DETECTOR, "AR_S: 101", "AR_S is between 0 and 1, and 101 is expected", ""),
        (DETECTOR, "F1: .nan", "what is expected of F1 must be a finite number, got nan", ""),
        (CLASSIFIER, "loss: .inf", "what is expected of loss must be a finite number, got inf", ""),
    ],
)
def test_a_value_that_a_metric_cannot_have_is_refused(text: str, expect: str, message: str, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(text + f"expect:\n  {expect}\n")
    problem = caught.value.problems[0]
    assert (problem.message, problem.hint) == (message, hint)
    assert problem.location is not None
    assert problem.location.line == 4


@pytest.mark.parametrize("text", [CLASSIFIER, DETECTOR])
def test_what_is_better_when_it_is_higher_is_a_share(text: str) -> None:
    for name, metric in load_recipe(text).task.metrics().items():
        assert metric.share == (metric.better == "higher")
        if metric.share:
            with pytest.raises(RecipeError, match=f"{name} is between 0 and 1"):
                load_recipe(text + f"expect: {{{name}: 50}}\n")


def test_a_loss_of_more_than_1_can_be_expected() -> None:
    assert load_recipe(CLASSIFIER + "expect: {loss: 2.3}\n").expect == {"loss": 2.3}


def test_sizes_that_a_recipe_makes_are_metrics() -> None:
    sizes = "task: {evaluation: {sizes: {tiny: [0, 16], L: null}, max_detections: 50}}\n"
    names = load_recipe(DETECTOR + sizes + "expect: {AP_tiny: 0.1, AR50: 0.1}\n").task.metrics()
    assert {"AP_S", "AP_M"} < set(names)
    assert "AP_L" not in names


def test_a_run_below_what_the_recipe_expects_has_failed(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"top1 is 0\.\d{4}, and the recipe expects at least 1"):
        train(recipe, ["max_steps=1", "expect={top1: 1}"], runs=tmp_path, quiet=True)


def test_a_classifier_has_the_metrics_that_its_task_names(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["max_steps=1"], runs=tmp_path, quiet=True)
    assert done.metrics.keys() == load_recipe(recipe).task.metrics().keys()

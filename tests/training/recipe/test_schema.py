"""The published schema of recipes: what an editor says with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from spdbuild.text.source import Source, parse_yaml
from spdbuild.training.recipe import recipe_schema

SHIPPED = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))
BASE = "architecture: resnet50\ndata: {name: digits}\n"
FOLDER = "architecture: resnet50\ndata:\n  name: folder\n  root: pets\n  "


def test_the_schema_is_a_schema_and_every_key_has_a_description() -> None:
    schema = recipe_schema()
    Draft202012Validator.check_schema(schema)
    assert [name for name, entry in schema["properties"].items() if "description" not in entry] == []


def findings(text: str) -> list[str]:
    """What an editor with the published schema says of a recipe as it is written."""
    value = parse_yaml(Source("<text>", text)).plain()
    return [error.message for error in Draft202012Validator(recipe_schema()).iter_errors(value)]


def test_the_schema_allows_every_recipe_that_is_shipped() -> None:
    assert len(SHIPPED) >= 12
    assert {path.name: findings(path.read_text()) for path in SHIPPED} == {path.name: [] for path in SHIPPED}


ALLOWED = {
    "task as a text": BASE + "task: classification",
    "defaults with a change": BASE + "optimizer: {lr: 0.2}\nschedule: {final: 0.1}",
    "a loss without a name": BASE + "loss: {label_smoothing: 0.1}",
    "some keys of a section": "extends: quickstart\ndata: {root: elsewhere}\nweights: {fresh: head}",
    "initializers by name": BASE + "init: {'*': {name: kaiming_normal, mode: fan_out}, head: zeros}",
    "an option of an initializer": "extends: quickstart\ninit: {'*': {mode: fan_out}}",
    "a sampling by name": BASE + "sampling: balanced",
    "a sampling with an option": BASE + "sampling: {name: repeat_factor, threshold: 0.01}",
    "no sampling": BASE + "sampling:",
    "factors of the learning rate": BASE + "optimizer: {scales: {head: 10}}",
    "nothing else": "extends: quickstart",
    "a size": FOLDER + "size: 64",
    "a height and a width": FOLDER + "size: [64, 128]\naugment: [{name: random_crop, size: [64, 96]}]",
    "no size": FOLDER + "size:",
}


@pytest.mark.parametrize("text", ALLOWED.values(), ids=ALLOWED.keys())
def test_the_schema_allows_what_may_be_left_out(text: str) -> None:
    assert findings(text) == []


REFUSED = {
    "unknown key": BASE + "epoch: 3",
    "unknown key over another recipe": "extends: quickstart\nepoch: 3",
    "unknown key of a section": BASE + "optimizer: {lrr: 0.2}",
    "unknown key of a section over another recipe": "extends: quickstart\nschedule: {finale: 0.2}",
    "an unknown sampling": BASE + "sampling: rare",
    "a factor that is no number": BASE + "optimizer: {name: sgd, scales: {head: fast}}",
    "no architecture": "data: {name: digits}",
    "no data": "architecture: resnet50",
    "data without a name": "architecture: resnet50\ndata: {root: .}",
    "data without its folder": "architecture: resnet50\ndata: {name: folder}",
    "unknown key of a loss without a name": BASE + "loss: {smoothing: 0.1}",
    "an entry of a list without a name": "extends: quickstart\naugment: [{padding: 4}]",
    "an initializer without a name": BASE + "init: {'*': {mode: fan_out}}",
    "an initializer without its value": BASE + "init: {'*': {name: constant}}",
    "unknown initializer": BASE + "init: {'*': kaiming}",
    "unknown option of an initializer": "extends: quickstart\ninit: {'*': {fan: fan_out}}",
    "unknown task": BASE + "task: clasification",
    "a size of three numbers": FOLDER + "size: [3, 64, 128]",
    "a size of one number in a list": FOLDER + "size: [64]",
    "a size that is a text": FOLDER + "size: 64x128",
    "a size of half a pixel": FOLDER + "size: [64, 0.5]",
    "a size without the list": FOLDER + "size: 64.5",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_the_schema_refuses_what_is_wrong(text: str) -> None:
    assert len(findings(text)) == 1

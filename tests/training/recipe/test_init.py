"""The key `init` of a recipe: short forms, the order of its patterns, and what is wrong with an entry."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.errors import SpdbuildError
from spdbuild.training.initializers.from_torch import Constant, KaimingNormal, LayerDefault, Zeros
from spdbuild.training.recipe import Recipe, load_recipe, twins
from spdbuild.training.recipe.differences import differences

BASE = "architecture: resnet50\ndata: {name: digits}\n"


def read(init: str, *overrides: str) -> Recipe:
    return load_recipe(f"{BASE}init: {init}\n", overrides)


def test_a_name_alone_stands_for_its_defaults() -> None:
    recipe = read("{'*': {name: kaiming_normal, mode: fan_out}, '*.norm': zeros, head: torch}")
    assert recipe.init == {"*": KaimingNormal(mode="fan_out"), "*.norm": Zeros(), "head": LayerDefault()}


def test_the_resolved_recipe_has_every_option_and_the_order() -> None:
    recipe = read("{'*': kaiming_normal, '*.norm': zeros, head: torch}")
    lines = recipe.resolved().partition("init:\n")[2].partition("weights:")[0].splitlines()
    assert lines == [
        '  "*":',
        "    name: kaiming_normal",
        "    a: 0.0",
        "    mode: fan_in",
        "    nonlinearity: leaky_relu",
        '  "*.norm":',
        "    name: zeros",
        "  head:",
        "    name: torch",
    ]
    again = load_recipe(recipe.resolved())
    assert again == recipe
    assert list(again.init) == list(recipe.init)


def test_a_recipe_without_the_key_has_no_entries() -> None:
    assert load_recipe(BASE).init == {}


def test_overrides_change_and_add_entries() -> None:
    changed = read("{'*': kaiming_normal}", "init.*.mode=fan_out", "init.head=zeros", "init={'*.norm': zeros}")
    assert list(changed.init.items()) == [
        ("*", KaimingNormal(mode="fan_out")),
        ("head", Zeros()),
        ("*.norm", Zeros()),
    ]
    assert read("{'*': zeros}", "init={}").init == {}
    assert read("{'*': zeros, head: ones}", "~init.head").init == {"*": Zeros()}
    assert read("{'*': zeros}", "init.*={name: constant, val: 2}").init == {"*": Constant(val=2.0)}


def test_a_recipe_that_extends_another_adds_patterns_behind_it(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE + "init: {'*': {name: kaiming_normal, a: 0.1}, head: torch}\n")
    (tmp_path / "own.yaml").write_text("extends: base.yaml\ninit: {'*.norm': zeros, '*': {mode: fan_out}}\n")
    assert list(load_recipe(tmp_path / "own.yaml").init.items()) == [
        ("*", KaimingNormal(a=0.1, mode="fan_out")),
        ("head", LayerDefault()),
        ("*.norm", Zeros()),
    ]


def test_a_twin_adds_patterns_behind_those_of_the_run() -> None:
    recipe = load_recipe(f"{BASE}init: {{'*': kaiming_normal}}\ncompare: {{other: {{init: {{head: zeros}}}}}}\n")
    assert list(twins(recipe)["other"].init.items()) == [("*", KaimingNormal()), ("head", Zeros())]


def test_a_difference_has_its_path_and_no_role() -> None:
    before = read("{'*.norm': zeros}")
    (found,) = differences(before, read("{'*.norm': zeros}", "init={'*.norm': ones}"))
    assert (found.key, bool(found.role)) == ("init.*.norm.name", False)
    assert found.place is not None
    assert found.place.text == "init={'*.norm': ones}"


WRONG = {
    "a name": ("{head: kaiming_norml}", "3:14: error: 'init.head.name' cannot be 'kaiming_norml'", "'kaiming_normal'"),
    "an option": ("{head: {name: normal, sdt: 1}}", "3:29: error: 'init.head' has no key 'sdt'", "mean 'std'?"),
    "an option of another": ("{'*': {name: zeros, gain: 2}}", "3:27: error: 'init.*' has no key 'gain'", "known: name"),
    "a choice": ("{'*': {name: kaiming_normal, mode: fan}}", "3:42: error: 'init.*.mode' ", "'fan_in'?"),
    "a range": ("{'*.conv': {name: normal, std: -1}}", "3:38: error: std must be at least 0, got -1.0", ""),
    "no value": ("{'*': constant}", "3:13: error: 'init.*' needs the key 'val'", "the value of each weight"),
    "no name": ("{'*': {mode: fan_in}}", "3:13: error: 'init.*' needs the key 'name'", "which initializer: "),
    "no initializer": ("{'*': 3}", "3:13: error: 'init.*' must be a mapping, got 3", ""),
    "no patterns": ("kaiming_normal", "3:7: error: 'init' must be a mapping, got the text 'kaiming_normal'", ""),
}


@pytest.mark.parametrize(("init", "error", "hint"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_an_entry_is_said_with_place_and_hint(init: str, error: str, hint: str) -> None:
    with pytest.raises(SpdbuildError) as caught:
        read(init)
    (problem,) = caught.value.problems
    assert f"<text>:{error}" in str(problem)
    assert hint in problem.hint

"""What one recipe has other than another one, and which keys may differ."""

from __future__ import annotations

import pytest

from spdbuild.declaring.roles import Role
from spdbuild.training.recipe import Recipe, load_recipe
from spdbuild.training.recipe.differences import differences, keys_with

TEXT = "architecture: cifar_resnet20\ndata: {name: folder, root: insects}\n"


@pytest.fixture(scope="module")
def before() -> Recipe:
    return load_recipe(TEXT)


@pytest.mark.parametrize(
    ("change", "key", "role"),
    [
        ("epochs=3", "epochs", Role.RESUMED),
        ("workers=0", "workers", Role.RESUMED | Role.USED),
        ("optimizer.lr=0.5", "optimizer.lr", Role(0)),
        ("data.root=wasps", "data.root", Role.RESUMED | Role.USED),
        ("data.size=16", "data.size", Role.USED),
        ("vars.classes=3", "vars.classes", Role.USED),
        ("augment=[{name: random_crop}]", "augment", Role(0)),
        ("ema.decay=0.9", "ema", Role(0)),
        ("expect={loss: 2.0}", "expect.loss", Role.RESUMED),
    ],
)
def test_the_innermost_key_has_the_roles_of_those_around_it(before: Recipe, change: str, key: str, role: Role) -> None:
    (found,) = differences(before, load_recipe(TEXT, [change]))
    assert (found.key, found.role) == (key, role)
    assert found.place is not None
    assert found.place.text == change


def test_what_is_gone_has_the_place_of_the_section_that_had_it(before: Recipe) -> None:
    longer = load_recipe(TEXT, ["vars={classes: 3, depth: 2}"])
    (found,) = differences(longer, load_recipe(TEXT, ["vars={classes: 3}"]))
    assert found.key == "vars.depth"
    assert found.place is not None
    assert found.place.text == "vars={classes: 3}"


def test_another_member_of_a_registry_differs_by_its_name_first(before: Recipe) -> None:
    found = differences(before, load_recipe(TEXT, ["optimizer={name: adamw, lr: 0.1}"]))
    assert found[0].key == "optimizer.name"


def test_equal_recipes_have_no_differences(before: Recipe) -> None:
    assert differences(before, load_recipe(before.resolved())) == []


@pytest.mark.parametrize(
    ("change", "swapped", "key"),
    [
        ("optimizer.scales={head: 10, '*': 0.1}", "optimizer.scales={'*': 0.1, head: 10}", "optimizer.scales"),
        ("init={head: zeros, '*': ones}", "init={'*': ones, head: zeros}", "init"),
    ],
)
def test_the_order_of_patterns_is_a_difference(change: str, swapped: str, key: str) -> None:
    before, after = (load_recipe(TEXT, [text]) for text in (change, swapped))
    (found,) = differences(before, after)
    assert (found.key, found.role) == (key, Role(0))
    assert found.place is not None
    assert found.place.text == swapped
    other = differences(before, load_recipe(TEXT, [swapped.replace("head", "stem")]))
    assert all(one.key.startswith(f"{key}.") for one in other)
    assert differences(before, load_recipe(before.resolved())) == []


def test_the_order_of_other_keys_is_none() -> None:
    before, after = (load_recipe(TEXT, [text]) for text in ("vars={a: 1, b: 2}", "vars={b: 2, a: 1}"))
    assert differences(before, after) == []


def test_keys_of_a_role_are_those_that_the_chosen_sections_have(before: Recipe) -> None:
    resumed = keys_with(Role.RESUMED, before)
    assert {"data.root", "data.memory_gib", "epochs"} <= set(resumed)
    assert "data.root" not in keys_with(Role.RESUMED, load_recipe(TEXT, ["data={name: digits}"]))
    assert "data" in keys_with(Role.USED, before)
    assert "data.root" not in keys_with(Role.USED, before)

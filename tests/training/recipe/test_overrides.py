"""What `key.path=value` and `~key.path` do to a recipe."""

from __future__ import annotations

import pytest

from spdbuild.errors import SpdbuildError
from spdbuild.training.recipe import FirstWeights, load_recipe
from spdbuild.training.schedules.shapes import MultiStep

from .texts import BASE, message, read

OVERRIDES = {
    "no value": ("epochs", "command line:1:1: error: 'epochs' sets nothing"),
    "unknown": ("optimizer.lrr=1", "command line:1:1: error: 'optimizer' has no key 'lrr'"),
    "type": ("epochs=ten", "command line:1:8: error: 'epochs' must be a whole number, got the text 'ten'"),
    "below a number": ("epochs.more=1", "command line:1:13: error: there is nothing below 'epochs'"),
    "nothing to leave out": ("~epohs", "command line:1:1: error: there is no key 'epohs' to leave out"),
    "no position": ("augment.3.padding=1", "command line:1:1: error: '3' is no position in a list: 0 to 0"),
    "extends": ("extends=quickstart", "command line:1:1: error: 'extends' is for the file of a recipe"),
    "momentum": ("optimizer.momentum=-1", "command line:1:20: error: momentum must be at least 0 and less than 1"),
    "list as a name": ("data.name=[1]", "command line:1:11: error: 'data.name' must be one of cifar10, "),
    "not yaml": ("vars={", "command line:1:6: error: this is not YAML"),
}


@pytest.mark.parametrize(("override", "error"), OVERRIDES.values(), ids=OVERRIDES.keys())
def test_a_wrong_override_is_shown_as_it_was_typed(override: str, error: str) -> None:
    said = message(BASE + "epochs: 3\naugment: [{name: random_crop, padding: 4}]\n", override)
    assert error in said
    assert f"    1 | {override}" in said


def test_an_override_is_split_at_the_first_equals_sign() -> None:
    assert read("", "title=a=b").title == "a=b"


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "Infinity"])
def test_a_text_for_what_is_no_finite_number_gets_no_hint_to_write_it(word: str) -> None:
    said = message(BASE, f"optimizer.lr={word}")
    assert f"'optimizer.lr' must be a finite number, got the text '{word}'" in said
    assert "a whole number, got" in message(BASE, f"epochs={word}")
    assert "hint" not in said + message(BASE, f"epochs={word}")


def test_overrides_reach_into_lists_and_leave_entries_out() -> None:
    recipe = read("augment: [{name: random_crop, padding: 4}]\nclip: 1\n", "augment.0.padding=2", "~clip")
    assert recipe.augment[0].padding == 2
    assert recipe.clip is None


def test_an_empty_mapping_empties_what_is_there() -> None:
    recipe = read(
        "expect: {top1: 0.9}\ncompare: {other: {seed: 1}}\nvars: {width: 3}\n", "expect={}", "compare={}", "vars={}"
    )
    assert not recipe.expect
    assert not recipe.compare
    assert not recipe.vars


def test_one_key_of_a_section_leaves_the_others_as_they_are() -> None:
    base = "architecture: yolov5\nvariant: n\ndata: {name: tiny_objects}\n"
    before = load_recipe(base).resolved()
    assert load_recipe(base, ["task.seeing.nms.min_score=0.25"]).resolved() == before
    assert load_recipe(base, ["task.evaluation.nms.min_score=0.001"]).resolved() == before


def test_a_text_alone_is_one_override() -> None:
    assert load_recipe(f"{BASE}epochs: 2", "epochs=3").epochs == 3


def test_an_empty_override_is_nothing() -> None:
    assert read("clip: 1\n", "clip=").clip is None


@pytest.mark.parametrize(
    ("section", "override", "keys", "hint"),
    [
        (
            "optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true}\n",
            "optimizer.name=adamw",
            ("momentum", "nesterov"),
            "replace the whole section: optimizer={name: adamw, lr: ...}",
        ),
        (
            "schedule: {name: cosine, final: 0.1, warmup_epochs: 1}\n",
            "schedule.name=constant",
            ("final",),
            "replace the whole section: schedule={name: constant, warmup_epochs: ...}",
        ),
        (
            "task: {name: classification, monitor: top5}\n",
            "task.name=detection",
            ("monitor",),
            "replace the whole section: task={name: detection}",
        ),
    ],
)
def test_keys_that_another_name_leaves_behind_are_said_with_a_way_out(
    section: str, override: str, keys: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(SpdbuildError) as caught:
        read(section, override)
    problems = caught.value.problems
    assert len(problems) == len(keys)
    for problem, key in zip(problems, keys, strict=True):
        assert key in problem.message
        assert problem.hint == hint


def test_a_key_that_was_given_with_the_name_keeps_its_own_hint() -> None:
    said = message(BASE + "optimizer: {name: sgd, momentum: 0.9}\n", "optimizer.name=adamw", "optimizer.lrr=1")
    assert "did you mean 'lr'?" in said
    assert "replace the whole section: optimizer={name: adamw, lrr: ...}" in said


def test_another_name_replaces_a_section_as_a_whole() -> None:
    recipe = read("schedule: {name: cosine, final: 0.1}\n", "schedule={name: multi_step, milestones: [1]}")
    assert recipe.schedule == MultiStep(milestones=(1.0,))


def test_a_file_alone_stands_for_the_weights() -> None:
    assert read("weights: w.pt\n").weights == FirstWeights("w.pt")
    assert read("weights: {file: w.pt, fresh: head}\n").weights == FirstWeights("w.pt", fresh=("head",))


def test_an_override_reaches_below_what_was_written_as_a_text() -> None:
    assert read("weights: w.pt\n", "weights.fresh=[head]").weights == FirstWeights("w.pt", fresh=("head",))
    assert read("", "weights=w.pt", "weights.fresh=[head]").weights == FirstWeights("w.pt", fresh=("head",))
    assert read("task: classification\n", "task.monitor=top5").task.monitor == "top5"
    assert read("weights: {file: w.pt, fresh: head}\n", "weights=").weights is None


@pytest.mark.parametrize(
    ("over", "wanted"),
    [
        ("{b: 1, a: 2}", {"b": 1, "a": 2, "c": 9}),
        ("{c: 1, a: 2}", {"c": 1, "b": 9, "a": 2}),
        ("{a: 1}", {"a": 1, "b": 9, "c": 9}),
        ("{d: 1, a: 2}", {"a": 2, "b": 9, "c": 9, "d": 1}),
    ],
)
def test_patterns_take_the_order_in_which_an_override_names_them(over: str, wanted: dict[str, int]) -> None:
    recipe = read("optimizer: {scales: {a: 9, b: 9, c: 9}}\n", f"optimizer.scales={over}")
    assert list(recipe.optimizer.scales.items()) == list(wanted.items())

"""Doubts about recipes that can be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import spdbuild
from spdbuild.errors import RecipeError, SpdbuildError
from spdbuild.training.recipe import load_recipe
from spdbuild.training.running.checking import check_recipe, doubts
from spdbuild.training.running.run import train
from spdbuild.training.trained.evaluate import evaluate
from spdbuild.weights import save_weights

SPD = "passes=['strided_to_spd()']"


@pytest.mark.parametrize(
    ("options", "messages"),
    [
        ([SPD, "compare={strided: {passes: []}}"], []),
        (["compare={other: {seed: 1}}"], []),
        ([SPD.replace("()'", "()', 'strided_to_spd()'")], ["strided_to_spd() changes nothing in '{}'"]),
        (["compare={other: {seed: 0}}"], ["the run 'other' trains the network of 'small' in the same way"]),
        (
            ["compare={one: {seed: 1}, two: {seed: 1}}"],
            ["the run 'two' trains the network of 'one' in the same way"],
        ),
        (
            ["passes=['strided_to_spd(only=\"stem\")']", "compare={strided: {passes: []}}"],
            [
                "strided_to_spd(only=\"stem\") changes nothing in '{}'",
                "the run 'strided' trains the network of 'small' in the same way",
            ],
        ),
    ],
    ids=["a pass with an effect", "another seed", "twice", "the run itself", "another twin", "a pass without effect"],
)
def test_what_has_no_effect_is_doubtful(recipe: Path, options: list[str], messages: list[str]) -> None:
    wanted = load_recipe(recipe, options)
    found = doubts(wanted)
    assert [problem.message for problem in found] == [text.replace("{}", wanted.architecture) for text in messages]
    assert all(problem.kind == "warning" and problem.location is not None for problem in found)


def test_the_log_of_a_run_says_it(recipe: Path, tmp_path: Path) -> None:
    done = train(recipe, ["max_steps=1", "compare={other: {seed: 0}}"], runs=tmp_path, quiet=True)
    said = "warning: the run 'other' trains the network of 'small' in the same way"
    assert said in (done.folder / "log.txt").read_text()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("freeze=[stem, haed]", "freeze: no parameter matches 'haed'"),
        ("freeze=['*']", "freeze leaves nothing to train"),
        ("optimizer.scales={haed: 2}", "optimizer.scales: no parameter matches 'haed'"),
        ("init={haed: {name: normal}}", "init: no layer with weights matches 'haed'"),
        ("init={norm: {name: orthogonal}}", "init: orthogonal is for convolutions and linear layers"),
        ("compare={other: {freeze: [haed]}}", "freeze: no parameter matches 'haed'"),
    ],
)
def test_patterns_of_layers_are_checked_without_data(recipe: Path, option: str, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        check_recipe(recipe, [option, "data={name: folder, root: missing}"])
    assert caught.value.problems[0].location is not None


@pytest.fixture
def fused(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An architecture that extends one whose norms a pass removes."""
    monkeypatch.chdir(recipe.parent)
    base = load_recipe(recipe).architecture
    Path("fused.yaml").write_text(f"model: fused\nextends: {base}\npasses: [fuse_conv_norm()]\n")
    Path("more.yaml").write_text("model: more\nextends: fused.yaml\npasses: [strided_to_spd()]\n")
    return Path("more.yaml")


def test_passes_of_an_architecture_that_are_not_for_training_are_refused_at_their_place(
    recipe: Path, fused: Path
) -> None:
    for network in ("fused.yaml", fused):
        with pytest.raises(SpdbuildError, match=r"fused.yaml:3:10: error: fuse_conv_norm is not for networks that"):
            train(recipe, [f"architecture={network}"], quiet=True)
    with pytest.raises(SpdbuildError, match=r"fused.yaml:3:10: error: fuse_conv_norm is not for networks that"):
        check_recipe(recipe, ["compare={other: {architecture: fused.yaml}}"])


def test_what_cannot_be_trained_is_evaluated(recipe: Path, fused: Path) -> None:
    architecture = spdbuild.load(fused, inputs=[(3, 8, 8)])
    save_weights(Path("w.safetensors"), spdbuild.build(architecture).state_dict(), {})
    evaluated = evaluate(recipe, [f"architecture={fused}"], weights="w.safetensors", speed=False)
    assert evaluated.images == 360


def test_a_pass_may_be_for_training_or_not_by_its_option(recipe: Path) -> None:
    check_recipe(recipe, ["passes=['remove_identity()']"])
    with pytest.raises(SpdbuildError, match="remove_identity is not for networks that will be trained"):
        check_recipe(recipe, ["passes=['remove_identity(training_only=true)']"])

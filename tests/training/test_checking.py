"""Doubts about recipes that can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from spdbuild.training.checking import doubts
from spdbuild.training.recipe import load_recipe
from spdbuild.training.run import train

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

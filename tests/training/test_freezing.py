"""Parameters that are not trained."""

from __future__ import annotations

import shlex
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.training.freezing import freeze, train_mode
from spdbuild.training.running.run import train


def network() -> nn.Sequential:
    return nn.Sequential(OrderedDict(stem=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), head=nn.Conv2d(4, 2, 1)))


def test_a_name_stands_for_all_below_it() -> None:
    model = network()
    assert freeze(model, ["stem", "norm.b*"]) == ["stem.weight", "stem.bias", "norm.bias"]
    assert model.norm.weight.requires_grad


def test_a_pattern_that_matches_nothing_suggests_a_name() -> None:
    with pytest.raises(RecipeError, match="no parameter matches 'sten'") as caught:
        freeze(network(), ["sten"])
    assert caught.value.problems[0].hint == "did you mean 'stem'?"


def test_freezing_everything_is_refused() -> None:
    with pytest.raises(RecipeError, match="freeze leaves nothing to train"):
        freeze(network(), ["*"])


def test_a_frozen_norm_keeps_its_statistics() -> None:
    model = network()
    freeze(model, ["norm"])
    train_mode(model)
    model(torch.rand(2, 3, 4, 4) + 5)
    assert torch.equal(model.norm.running_mean, torch.zeros(4))


def test_a_norm_without_parameters_is_not_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False))
    train_mode(model)
    assert model[1].training


def test_a_norm_without_parameters_is_frozen_by_its_name_or_that_of_its_section() -> None:
    def made() -> nn.Sequential:
        norm = nn.BatchNorm2d(4, affine=False)
        backbone = nn.Sequential(OrderedDict(stem=nn.Conv2d(3, 4, 3), norm=norm))
        return nn.Sequential(
            OrderedDict(backbone=backbone, norm=nn.BatchNorm2d(4, affine=False), head=nn.Conv2d(4, 2, 1))
        )

    for patterns in (["backbone"], ["backbone.norm"], ["*.norm"]):
        model = made()
        assert "backbone.norm" in freeze(model, patterns)
        train_mode(model, patterns)
        model(torch.rand(2, 3, 4, 4) + 5)
        assert torch.equal(model.backbone.norm.running_mean, torch.zeros(4))
        assert not torch.equal(model.norm.running_mean, torch.zeros(4))


def test_a_second_run_unfreezes_as_the_hint_says(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(recipe.read_text() + "freeze: [stem]\nfreeze_epochs: 3\n")
    with pytest.raises(RecipeError, match="a recipe has no key 'freeze_epochs'") as caught:
        train(recipe, quiet=True, runs=tmp_path)
    hint = caught.value.problems[0].hint
    assert hint.startswith("freeze is for a whole run; a second one goes on without it: spdbuild train RECIPE ")
    recipe.write_text(recipe.read_text().replace("freeze_epochs: 3\n", ""))
    first = train(recipe, ["max_steps=1"], quiet=True, runs=tmp_path).folder
    overrides = shlex.split(hint.partition("RECIPE ")[2].replace("runs/FIRST", str(first)))
    second = train(recipe, [*overrides, "max_steps=1"], quiet=True, runs=tmp_path).folder
    before, after = (load_file(folder / "weights" / "last.safetensors")["stem.weight"] for folder in (first, second))
    assert not torch.equal(before, after)


def test_freezing_all_parameters_is_refused_though_a_norm_has_none() -> None:
    model = nn.Sequential(OrderedDict(stem=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4, affine=False)))
    with pytest.raises(RecipeError, match="freeze leaves nothing to train"):
        freeze(model, ["stem"])


def test_a_run_keeps_the_statistics_of_a_frozen_norm_without_parameters(recipe: Path, tmp_path: Path) -> None:
    network = tmp_path / "tiny.yaml"
    network.write_text(network.read_text().replace("batch_norm()", "batch_norm(affine=false)"))
    run = train(recipe, ["freeze=[stem, norm]", "max_steps=2"], quiet=True, runs=tmp_path)
    trained = load_file(run.folder / "weights" / "last.safetensors")
    assert torch.equal(trained["norm.running_mean"], torch.zeros(8))
    assert not torch.equal(trained["norm2.running_mean"], torch.zeros(16))

"""Parameters that are not trained."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import nn

from spdbuild.errors import RecipeError
from spdbuild.training.freezing import freeze, train_mode


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

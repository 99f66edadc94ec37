"""The moving average of a model."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from spdbuild.training.running.ema import Ema


def test_the_average_follows_the_published_ramp() -> None:
    # REFERENCE.md 4.1.6: d = 0.9999 * (1 - exp(-updates / 2000)).
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    ema = Ema(model, 0.9999, 2000)
    expected = 1.0
    for update in range(1, 4):
        nn.init.constant_(model.weight, float(update))
        ema.update(model)
        decay = 0.9999 * (1 - math.exp(-update / 2000))
        expected = decay * expected + (1 - decay) * update
    assert ema.model.weight.item() == pytest.approx(expected)


def test_statistics_are_averaged_and_counters_are_copied() -> None:
    model = nn.BatchNorm2d(1)
    ema = Ema(model, 0.5, 0)
    model(torch.full((2, 1, 1, 1), 10.0))
    ema.update(model)
    assert ema.model.running_mean.item() == pytest.approx(0.5 * model.running_mean.item())
    assert ema.model.num_batches_tracked.item() == 1


def test_another_model_is_followed_when_it_is_given() -> None:
    first, second = nn.Linear(1, 1), nn.Linear(1, 1)
    ema = Ema(first, 0.5, 0)
    ema.update(first)
    with torch.no_grad():
        second.weight.fill_(ema.model.weight.item() + 2)
    expected = ema.model.weight.item() + 1
    ema.update(second)
    assert ema.model.weight.item() == pytest.approx(expected)


def test_the_average_is_never_trained() -> None:
    ema = Ema(nn.BatchNorm2d(1), 0.5, 0)
    assert not ema.model.training
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())

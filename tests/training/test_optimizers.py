"""Optimizers: those of torch, with the groups of parameters that decay spares."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
import torch
from torch import nn

from spdbuild.errors import ArgumentError
from spdbuild.nn.normalization import LayerScale2d
from spdbuild.training.optimizers import OPTIMIZERS, parameter_groups


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.Linear(4, 2))


def test_parameters_are_grouped_by_what_they_are() -> None:
    model = network()
    groups = {role: {p.shape for p in parameters} for role, parameters in parameter_groups(model).items()}
    assert groups["weight"] == {torch.Size([4, 3, 3, 3]), torch.Size([2, 4])}
    assert groups["norm"] == {torch.Size([4])}
    assert sum(len(parameters) for parameters in parameter_groups(model).values()) == len(list(model.parameters()))


def test_factors_of_channels_are_no_weights() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), LayerScale2d(4), nn.LayerNorm(4))
    groups = parameter_groups(model)
    assert groups["weight"] == [model[0].weight]
    assert {id(parameter) for parameter in groups["norm"]} == {id(next(module.parameters())) for module in model[1:]}


def test_norms_and_biases_do_not_decay_unless_the_recipe_says_so() -> None:
    def decays(**options: object) -> dict[str, float]:
        made = OPTIMIZERS["sgd"](lr=0.1, weight_decay=0.01, **options).make(network())  # type: ignore[call-arg,arg-type]
        return {group["role"]: group["weight_decay"] for group in made.param_groups}

    assert decays() == {"weight": 0.01, "norm": 0.0, "bias": 0.0}
    assert decays(decay_norm_and_bias=True) == {"weight": 0.01, "norm": 0.01, "bias": 0.01}


def test_frozen_parameters_are_in_no_group() -> None:
    model = network().requires_grad_(False)
    model[3].requires_grad_(True)
    assert [len(parameters) for parameters in parameter_groups(model).values()] == [1, 0, 1]


def take_steps(pair: Iterable[tuple[nn.Module, torch.optim.Optimizer]]) -> None:
    """Three updates of each model by its own optimizer."""
    for model, stepper in pair:
        for _ in range(3):
            stepper.zero_grad()
            model(torch.ones(1, 4)).square().sum().backward()
            stepper.step()


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_optimizer_takes_the_step_of_torch(name: str) -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    optimizer = OPTIMIZERS[name]()
    pair = (ours, optimizer.make(ours)), (theirs, optimizer.implementation(theirs.parameters()))  # type: ignore[attr-defined]
    take_steps(pair)
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_a_weight_decay_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"rprop has no weight decay, got 0\.1"):
        OPTIMIZERS["rprop"](weight_decay=0.1)


def test_the_rest_of_torch_optim_is_there() -> None:
    expected = {
        "adadelta",
        "adafactor",
        "adagrad",
        "adam",
        "adamax",
        "adamw",
        "asgd",
        "nadam",
        "radam",
        "rmsprop",
        "sgd",
    }
    assert expected <= set(OPTIMIZERS)


def assert_a_skipped_update_changes_nothing(name: str, **options: float) -> None:
    torch.manual_seed(0)
    skipping, plain = nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False)
    plain.load_state_dict(skipping.state_dict())
    first, second = (OPTIMIZERS[name](**options).make(model) for model in (skipping, plain))
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor in (float("inf"), 1.0, 1.0):
        first.zero_grad()
        scaler.scale(factor * skipping(torch.ones(1, 4)).square().sum()).backward()
        scaler.step(first)
        scaler.update()
    for _ in range(2):
        second.zero_grad()
        plain(torch.ones(1, 4)).square().sum().backward()
        second.step()
    torch.testing.assert_close(skipping.weight, plain.weight)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_an_update_that_the_scaler_skips_changes_nothing(name: str) -> None:
    assert_a_skipped_update_changes_nothing(name)


def test_sgd_does_not_read_momentum_that_nobody_has_written(monkeypatch: pytest.MonkeyPatch) -> None:
    empty_like = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda tensor, **options: empty_like(tensor, **options).fill_(1e6))
    assert_a_skipped_update_changes_nothing("sgd", momentum=0.9)


@pytest.mark.parametrize("dampening", [0.0, 0.5])
def test_sgd_with_momentum_takes_the_steps_of_torch(dampening: float) -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False)
    theirs.load_state_dict(ours.state_dict())
    options = {"momentum": 0.9, "dampening": dampening}
    pair = (
        (ours, OPTIMIZERS["sgd"](lr=0.1, **options).make(ours)),  # type: ignore[arg-type]
        (theirs, torch.optim.SGD(theirs.parameters(), lr=0.1, **options)),  # type: ignore[arg-type]
    )
    take_steps(pair)
    torch.testing.assert_close(ours.weight, theirs.weight)

"""Initializers: those of torch.nn.init, under its names and with its options."""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spdbuild.errors import ArgumentError
from spdbuild.training.initializers import INITIALIZERS

#: 64 channels to 128 by 3x3, and 300 inputs to 500 outputs.
CONV, LINEAR = (128, 64, 3, 3), (500, 300)


def filled(name: str, *shape: int, **options: Any) -> Tensor:
    torch.manual_seed(0)
    weight = torch.full(shape, math.nan)
    INITIALIZERS[name](**options).fill(weight)
    return weight


@pytest.mark.parametrize("name", sorted(set(INITIALIZERS) - {"torch"}))
def test_the_options_and_their_defaults_are_those_of_torch(name: str) -> None:
    theirs = inspect.signature(getattr(nn.init, f"{name}_")).parameters.values()
    options = {p.name: p.default for p in theirs if p.name not in ("tensor", "generator")}
    ours = {field.name: field.default for field in dataclasses.fields(INITIALIZERS[name])}
    assert ours == {
        key: dataclasses.MISSING if value is inspect.Parameter.empty else value for key, value in options.items()
    }


STANDARD_DEVIATIONS = {
    "kaiming of a convolution": ("kaiming_normal", CONV, {}, math.sqrt(2 / (64 * 9))),
    "kaiming, fan_out": ("kaiming_normal", CONV, {"mode": "fan_out"}, math.sqrt(2 / (128 * 9))),
    "kaiming of a linear layer": ("kaiming_normal", LINEAR, {}, math.sqrt(2 / 300)),
    "kaiming, a linear layer's fan_out": ("kaiming_normal", LINEAR, {"mode": "fan_out"}, math.sqrt(2 / 500)),
    "kaiming, leaky": ("kaiming_normal", CONV, {"a": 2.0}, math.sqrt(2 / 5 / (64 * 9))),
    "kaiming, tanh": ("kaiming_normal", CONV, {"nonlinearity": "tanh"}, 5 / 3 / math.sqrt(64 * 9)),
    "kaiming, selu": ("kaiming_uniform", CONV, {"nonlinearity": "selu"}, 3 / 4 / math.sqrt(64 * 9)),
    "kaiming, sigmoid": ("kaiming_uniform", CONV, {"nonlinearity": "sigmoid"}, 1 / math.sqrt(64 * 9)),
    "kaiming, linear": ("kaiming_uniform", LINEAR, {"nonlinearity": "linear"}, 1 / math.sqrt(300)),
    "kaiming_uniform": ("kaiming_uniform", CONV, {"nonlinearity": "relu"}, math.sqrt(2 / (64 * 9))),
    "xavier of a convolution": ("xavier_normal", CONV, {}, math.sqrt(2 / (64 * 9 + 128 * 9))),
    "xavier of a linear layer": ("xavier_uniform", LINEAR, {"gain": 3.0}, 3 * math.sqrt(2 / 800)),
    "normal": ("normal", CONV, {"std": 0.02}, 0.02),
    "trunc_normal": ("trunc_normal", CONV, {"std": 0.02}, 0.02),
    "trunc_normal, cut": ("trunc_normal", CONV, {}, math.sqrt(1 - 4 * 0.05399096651 / 0.9544997361)),
    "uniform": ("uniform", CONV, {"a": -0.1, "b": 0.1}, 0.2 / math.sqrt(12)),
}


@pytest.mark.parametrize(("name", "shape", "options", "std"), STANDARD_DEVIATIONS.values(), ids=STANDARD_DEVIATIONS)
def test_weights_have_the_standard_deviation_of_the_formula(
    name: str, shape: tuple[int, ...], options: dict[str, Any], std: float
) -> None:
    weight = filled(name, *shape, **options)
    assert weight.std().item() == pytest.approx(std, rel=0.01)
    assert abs(weight.mean().item()) < 0.015 * std


def test_uniform_weights_reach_their_bounds_and_not_beyond() -> None:
    for name, bound in {"kaiming_uniform": math.sqrt(6 / (64 * 9)), "xavier_uniform": math.sqrt(6 / (192 * 9))}.items():
        assert 0.99 * bound < filled(name, *CONV).abs().max().item() <= bound


def test_an_orthogonal_weight_has_orthogonal_rows() -> None:
    weight = filled("orthogonal", *CONV, gain=2.0).flatten(1)  # [128, 576]
    torch.testing.assert_close(weight @ weight.T, 4 * torch.eye(128), atol=1e-4, rtol=0)


def test_constants_fill_weights_of_one_dimension() -> None:
    assert filled("zeros", 3).tolist() == [0, 0, 0]
    assert filled("ones", 3).tolist() == [1, 1, 1]
    assert filled("constant", 3, val=0.5).tolist() == [0.5, 0.5, 0.5]


def test_torch_leaves_a_weight_as_it_is() -> None:
    assert filled("torch", 3).isnan().all()


@pytest.mark.parametrize("name", list(INITIALIZERS))
def test_an_initializer_fills_weights_of_as_few_dimensions_as_it_says(name: str) -> None:
    least = INITIALIZERS[name].least_dimensions
    options = {"val": 1.0} if name == "constant" else {}
    filled(name, *[4] * least, **options)
    if least > 1:
        with pytest.raises(ValueError, match="2"):
            filled(name, 4, **options)


WRONG = {
    "std": ("normal", {"std": -1.0}, "std must be at least 0"),
    "std of trunc_normal": ("trunc_normal", {"std": 0.0}, "std must be more than 0"),
    "bounds": ("uniform", {"a": 1.0}, "a must be less than b, got a=1 and b=1"),
    "bounds of trunc_normal": ("trunc_normal", {"a": 3.0}, "a must be less than b, got a=3 and b=2"),
    "mean": ("trunc_normal", {"mean": 2.1, "std": 0.02}, "mean=2.1 is more than two standard deviations away from"),
    "no number": ("uniform", {"a": float("nan")}, "a must be a finite number, got nan"),
    "endless": ("kaiming_normal", {"a": float("inf")}, "a must be a finite number, got inf"),
    "too large": ("constant", {"val": 1e300}, "val must be between -1e\\+30 and 1e\\+30"),
    "gain": ("xavier_normal", {"gain": 0.0}, "gain must be more than 0"),
}


@pytest.mark.parametrize(("name", "options", "message"), WRONG.values(), ids=WRONG)
def test_numbers_that_make_no_sense_are_refused(name: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        INITIALIZERS[name](**options)

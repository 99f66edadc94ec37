"""Weights that something else than one strided convolution has or reads: their layers stay, tied as they were."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild


def tied(stride: int) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, stride, 1))
    model[1].weight = model[0].weight
    return model


class Reading(nn.Module):
    """Uses the weight of its layer a second time, in a convolution without a stride."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.conv(x), self.conv.weight, padding=1)


class Scaling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv.weight * 2, stride=2)


class Functions(nn.Module):
    def __init__(self, second: int) -> None:
        super().__init__()
        self.kernel, self.second = nn.Parameter(torch.randn(4, 4, 3, 3)), second

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, self.kernel, stride=2, padding=1), self.kernel, stride=self.second, padding=1)


class FunctionAndLayer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.kernel = self.conv.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.conv2d(x, self.kernel, stride=2, padding=1))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: tied(1), {"0": "it shares its weight with 1"}),
        (lambda: tied(2), {"0": "it shares its weight with 1", "1": "it shares its weight with 0"}),
        (Reading, {"conv": "its weight is read by the forward of another module, Reading"}),
        (
            Scaling,
            {
                "conv": "its weight is read by the forward of another module, Scaling",
                "conv2d": "its weight is computed while it runs",
            },
        ),
        (lambda: Functions(1), {"conv2d": "its weight is read in more than one place of its forward"}),
        (
            lambda: Functions(2),
            {
                "conv2d": "its weight is read in more than one place of its forward",
                "conv2d_2": "its weight is read in more than one place of its forward",
            },
        ),
        (FunctionAndLayer, {"conv2d": "it shares its weight with conv"}),
    ],
    ids=["one", "both", "read", "scaled", "one function", "two functions", "function and layer"],
)
def test_what_shares_a_weight_stays(make: Callable[[], nn.Module], why: dict[str, str]) -> None:
    model, x = make(), torch.randn(1, 4, 16, 16)
    converted, report = spdbuild.convert_module(model, x)
    assert {entry.name: entry.why for entry in report.left} == why
    assert (report.replaced, report.error) == ((), 0.0)
    assert report.before == report.after
    assert converted.state_dict().keys() == model.state_dict().keys()


def test_a_shared_bias_stays_shared() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))
    model[1].bias = model[0].bias
    converted, report = spdbuild.convert_module(model, torch.randn(1, 4, 16, 16), strict=True)
    assert converted[0].bias is converted[1].bias
    assert report.after.parameters == 2 * 4 * 64 + 4

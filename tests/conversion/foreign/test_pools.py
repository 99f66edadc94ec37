"""`convert_module` on pools, as layers and as functions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild
from spdbuild.nn import SpdAvgPool2d, SpdMaxPool2d


def test_an_average_pool_is_exact_and_a_max_pool_begins_as_the_mean() -> None:
    x = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    average, report = spdbuild.convert_module(nn.AvgPool2d(2), x)
    assert isinstance(average, SpdAvgPool2d)
    assert report.replaced[0].exact
    torch.testing.assert_close(average(x), F.avg_pool2d(x, 2))
    greatest, report = spdbuild.convert_module(nn.MaxPool2d(2), x)
    assert isinstance(greatest, SpdMaxPool2d)
    assert not report.replaced[0].exact
    torch.testing.assert_close(greatest(x), F.avg_pool2d(x, 2))


class Pooling(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2)


@pytest.mark.parametrize("make", [lambda: nn.MaxPool2d(2), Pooling], ids=["layer", "function"])
def test_max_pools_are_fitted_by_least_squares(make: Callable[[], nn.Module]) -> None:
    images = [torch.rand(8, 1, 6, 6) ** 3 for _ in range(4)]
    converted, report = spdbuild.convert_module(make(), images[0], calibrate=images)

    blocks = F.unfold(torch.cat(images), 2, stride=2).movedim(1, 2).flatten(0, 1)  # [blocks, pixels]
    wanted = blocks.amax(1)
    weights = torch.linalg.lstsq(blocks.double(), wanted.double()).solution
    error = (blocks.double() @ weights - wanted).square().sum() / (wanted - wanted.mean()).square().sum()
    assert list(report.residuals.values()) == pytest.approx([float(error)], rel=1e-5)
    fitted = next(converted.parameters()).flatten().double().detach()
    assert sorted(fitted.tolist()) == pytest.approx(sorted(weights.tolist()), rel=1e-5)


def test_pools_that_are_split_are_fitted_each_for_itself() -> None:
    _, report = spdbuild.convert_module(Shared(), torch.randn(1, 3, 20, 20), calibrate=[torch.randn(4, 3, 20, 20)])
    assert list(report.residuals) == ["pool_", "pool_2"]
    assert all(residual > 0 for residual in report.residuals.values())


class Shared(nn.Module):
    """One pool for images of different channels, as tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 6, 3)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(self.second(self.pool(self.first(x))))


def test_a_pool_of_several_numbers_of_channels_becomes_a_layer_for_each() -> None:
    x = torch.randn(1, 3, 20, 20)
    model = Shared()
    kept, report = spdbuild.convert_module(model, x, pool="keep")
    assert [entry.name for entry in report.kept] == ["pool"]

    converted, report = spdbuild.convert_module(model, x, strict=True)
    assert [(e.name, e.after["params"]) for e in report.replaced] == [("pool_", 4 * 16), ("pool_2", 6 * 24)]
    assert isinstance(converted, Shared)
    expected = F.avg_pool2d(model.second(F.avg_pool2d(model.first(x), 2)), 2)
    torch.testing.assert_close(converted(x), expected)


def test_one_place_of_a_pool_can_be_kept() -> None:
    _, report = spdbuild.convert_module(Shared(), torch.randn(1, 3, 20, 20), keep="pool_2")
    assert [entry.name for entry in report.replaced] == ["pool_"]
    assert [entry.name for entry in report.kept] == ["pool_2"]


def test_a_pool_that_the_example_does_not_run_stays() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    model.unused = nn.MaxPool2d(2)
    model.forward = model[0].forward
    _, report = spdbuild.convert_module(model, torch.randn(1, 3, 8, 8))
    assert [entry.why for entry in report.kept] == ["the example does not run it, so its channels are not known"]


def test_average_pools_of_float64_are_exact_in_float64() -> None:
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64)
    _, report = spdbuild.convert_module(nn.AvgPool2d(3, 2, 1).double(), x)
    assert report.error is not None
    assert report.error < 1e-14

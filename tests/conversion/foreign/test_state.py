"""What a network remembers from one run to the next is after the conversion as it was before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild

X = torch.ones(1, 3, 16, 16)


class Counting(nn.Module):
    """Counts its runs in a buffer, by one of several ways to write it."""

    def __init__(self, count: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.conv, self.count = nn.Conv2d(3, 4, 3, 2, 1), count
        self.register_buffer("runs", torch.zeros(()))
        self.seen: list[Tensor] = []
        self.last: dict[str, Any] = {"all": deque(maxlen=3)}
        self.number, self.plain = 0, [torch.zeros(2)]

    def forward(self, x: Tensor) -> Tensor:
        self.count(self, x)
        return F.max_pool2d(self.conv(x), 2)

    def state(self) -> tuple[Any, ...]:
        return self.runs.item(), len(self.seen), len(self.last["all"]), self.number, self.plain[0].sum().item()


def add_to_buffer(module: Any, x: Tensor) -> None:
    module.runs += 1


def assign_buffer(module: Any, x: Tensor) -> None:
    module.runs = module.runs + 1


def append(module: Any, x: Tensor) -> None:
    module.seen.append(x)


def append_inside(module: Any, x: Tensor) -> None:
    module.last["all"].append(x)


def add_to_number(module: Any, x: Tensor) -> None:
    module.number += 1


def add_to_plain_tensor(module: Any, x: Tensor) -> None:
    module.plain[0].add_(1)


WAYS = {
    add_to_buffer: "runs",
    assign_buffer: "runs",
    append: "seen",
    append_inside: "last",
    add_to_number: "number",
    add_to_plain_tensor: "plain",
}


@pytest.mark.parametrize("pool", ["conv", "keep"])
@pytest.mark.parametrize("count", WAYS, ids=lambda way: way.__name__)
def test_a_forward_with_a_side_effect_is_not_rewritten(count: Callable[[nn.Module, Tensor], Any], pool: str) -> None:
    model = Counting(count)
    before = model.state()
    converted, report = spdbuild.convert_module(model, X, pool=pool)

    assert model.state() == converted.state() == before
    why = f"its forward changes the attribute '{WAYS[count]}'" if pool == "conv" else "pool=keep"
    assert [(entry.name, entry.why) for entry in report.left] == [("max_pool2d", why)]
    assert [entry.name for entry in report.replaced] == ["conv"]
    model(X), converted(X)
    assert model.state() == converted.state() != before


class CountingInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.runs.add_(1)
        return F.avg_pool2d(x, 2)


def test_what_is_done_to_a_buffer_is_done_by_the_new_forward_too() -> None:
    converted, _ = spdbuild.convert_module(CountingInPlace(), X, strict=True)
    assert converted.runs == 0
    converted(X)
    assert converted.runs == 1


class AlwaysTraining(nn.Module):
    """Updates its running statistics in evaluation, too, and returns one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = self.norm.running_mean, self.norm.running_var
        return F.batch_norm(self.conv(x), mean, variance, training=True), mean


def test_running_statistics_and_modes_stay() -> None:
    model = AlwaysTraining().train()
    model.norm.eval()
    converted, report = spdbuild.convert_module(model, torch.randn(2, 3, 16, 16), strict=True)
    assert report.error is not None
    assert report.error < 1e-5
    for module in (model, converted):
        assert module.norm.running_mean.tolist() == [0, 0, 0, 0]
        assert module.norm.running_var.tolist() == [1, 1, 1, 1]
        assert (module.training, module.norm.training) == (True, False)


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, 0.5, training=True) + torch.rand(x.shape)


def test_random_numbers_are_left_to_the_caller_and_alike_in_both_runs() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), Noisy(), nn.MaxPool2d(2))
    before = torch.get_rng_state()
    _, report = spdbuild.convert_module(model, X, pool="keep")
    assert torch.equal(torch.get_rng_state(), before)
    assert report.error is not None
    assert report.error < 1e-5


class Overwriting(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2)


def test_the_example_is_not_changed() -> None:
    x = torch.randn(1, 3, 8, 8)
    before = x.clone()
    _, report = spdbuild.convert_module(nn.Sequential(Overwriting(), nn.Conv2d(3, 4, 3, 2)), x, strict=True)
    assert torch.equal(x, before)
    assert report.error is not None
    assert report.error < 1e-5


class MakingItself(nn.Module):
    """Makes its layer in its first run."""

    def __init__(self) -> None:
        super().__init__()
        self.made = False

    def forward(self, x: Tensor) -> Tensor:
        if not self.made:
            self.conv, self.made = nn.Conv2d(x.shape[1], 4, 3, 2), True
        result: Tensor = self.conv(x)
        return result


def test_a_layer_that_the_first_run_makes_is_converted() -> None:
    converted, report = spdbuild.convert_module(MakingItself(), X, strict=True)
    assert [entry.name for entry in report.replaced] == ["conv"]
    assert converted(X).shape == (1, 4, 7, 7)


class WithoutGradients(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            return F.avg_pool2d(x, 2)


class InHalf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return F.avg_pool2d(x, 2)


@pytest.mark.parametrize("make", [WithoutGradients, InHalf])
def test_a_forward_that_switches_gradients_or_autocast_is_not_rewritten(make: type[nn.Module]) -> None:
    _, report = spdbuild.convert_module(make(), X)
    assert [entry.why for entry in report.left] == [
        "torch.fx would lose that its forward switches gradients or autocast"
    ]

"""Networks whose own code holds or reads a layer in a way that its replacement would not bear: refused, not broken."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild
from spdbuild.errors import PassError


class Listing(nn.Module):
    """Runs its layer from a plain list; from its attribute too, if `twice`."""

    def __init__(self, layer: nn.Module, twice: bool) -> None:
        super().__init__()
        self.layer, self.twice = layer, twice
        self.stages = [layer]

    def forward(self, x: Tensor) -> Tensor:
        if self.twice:
            x = self.layer(x)
        for stage in self.stages:
            x = stage(x)
        return x


@pytest.mark.parametrize(("twice", "what"), [(False, "the new layer does not run"), (True, "the old layer still runs")])
@pytest.mark.parametrize("layer", [nn.Conv2d(3, 3, 3, 2, 1), nn.MaxPool2d(2)], ids=["convolution", "pool"])
def test_a_layer_that_is_run_from_a_plain_list_is_refused(layer: nn.Module, twice: bool, what: str) -> None:
    model, x = Listing(layer, twice), torch.randn(1, 3, 16, 16)
    with pytest.raises(PassError, match=rf"'layer' was replaced, but {what}: .*such as a list") as caught:
        spdbuild.convert_module(model, x)
    assert "keep=['layer']" in str(caught.value)
    _, report = spdbuild.convert_module(model, x, keep=["layer"])
    assert report.error == 0


class SamePadding(nn.Module):
    """Pads as TensorFlow does, by the numbers of its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        stride, kernel = self.conv.stride[0], self.conv.kernel_size[0]
        missing = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
        return self.conv(F.pad(x, [0, missing, 0, missing]))


class Dividing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) / self.conv.stride[0]


@pytest.mark.parametrize(
    "tail", [nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(2), nn.Identity()], ids=["same shape", "max pool", "other shape"]
)
@pytest.mark.parametrize("head", [SamePadding, Dividing])
def test_a_forward_that_reads_the_numbers_of_its_layer_is_refused(head: type[nn.Module], tail: nn.Module) -> None:
    model, x = nn.Sequential(head(), tail), torch.randn(1, 4, 19, 19)
    with pytest.raises(
        PassError, match=r"computes something else .*reads the numbers or the weight of 0\.conv"
    ) as caught:
        spdbuild.convert_module(model, x)
    assert "keep=['0.conv']" in str(caught.value)
    _, report = spdbuild.convert_module(model, x, keep=["0.conv"], pool="keep")
    assert report.error == 0


class Checking(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 8, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.conv.weight.shape[1]:
            raise ValueError("wrong channels")
        return self.conv(x)


def test_a_network_that_does_not_run_any_more_is_not_the_fault_of_the_example() -> None:
    with pytest.raises(
        PassError, match=r"Checking does not run any more .*wrong channels.*reads the numbers or the weight"
    ):
        spdbuild.convert_module(Checking(), torch.randn(1, 4, 17, 17))


def test_a_layer_that_reads_one_image_without_a_batch_stays() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.MaxPool2d(2)), torch.randn(3, 17, 17)
    converted, report = spdbuild.convert_module(model, x)
    why = "the example gives it no batch axis, and SPD-Conv needs (N, C, H, W)"
    assert [entry.why for entry in report.kept] == [why, why]
    torch.testing.assert_close(converted(x), model(x))


class Sorting(nn.Module):
    """Gives the order of many numbers, as a detector does with its boxes: rounding alone exchanges neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten().argsort().to(x.dtype)


def test_an_order_that_rounding_changes_is_no_mistake() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 5, 2, 2), Sorting())
    _, report = spdbuild.convert_module(model, torch.randn(1, 3, 128, 128), strict=True)
    assert report.error is not None
    assert report.error > 0.1


@dataclass
class Found:
    scores: Tensor


@dataclass(slots=True)
class Slotted:
    scores: Tensor


class Named(NamedTuple):
    scores: Tensor


class Wrapped(nn.Module):
    """Returns its result in something of the caller's choice; divides it by the stride of its layer, if `reads`."""

    def __init__(self, wrap: Callable[[Tensor], Any], reads: bool) -> None:
        super().__init__()
        self.conv, self.wrap, self.reads = nn.Conv2d(3, 8, 3, 2, 1), wrap, reads

    def forward(self, x: Tensor) -> Any:
        y = self.conv(x)
        return self.wrap(y / self.conv.stride[0] if self.reads else y)


RESULTS: dict[str, Callable[[Tensor], Any]] = {
    "dataclass": Found,
    "dataclass with slots": Slotted,
    "named tuple": Named,
    "object": lambda y: SimpleNamespace(inner=[Found(y)]),
    "mapping": lambda y: UserDict(scores=y),
    "whole numbers": lambda y: (8 * y.abs()).round().long(),
}


@pytest.mark.parametrize("wrap", RESULTS.values(), ids=RESULTS.keys())
def test_outputs_are_compared_in_whatever_they_are_returned(wrap: Callable[[Tensor], Any]) -> None:
    x = torch.randn(1, 3, 8, 8)
    _, report = spdbuild.convert_module(Wrapped(wrap, reads=False), x)
    assert report.error is not None
    assert report.error < 1e-5
    with pytest.raises(PassError, match="Wrapped computes something else"):
        spdbuild.convert_module(Wrapped(wrap, reads=True), x)


def test_an_object_that_holds_itself_is_compared_once() -> None:
    def wrap(y: Tensor) -> Any:
        result = SimpleNamespace(scores=y)
        result.itself = result
        return result

    _, report = spdbuild.convert_module(Wrapped(wrap, reads=False), torch.randn(1, 3, 8, 8))
    assert report.error is not None
    assert report.error < 1e-5


def test_a_module_that_returns_no_tensor_is_not_said_to_agree() -> None:
    model = Wrapped(lambda y: "seen", reads=False)
    with pytest.raises(PassError, match="whether Wrapped still computes the same cannot be told"):
        spdbuild.convert_module(model, torch.randn(1, 3, 8, 8))
    _, report = spdbuild.convert_module(model, torch.randn(1, 3, 8, 8), keep=["conv"])
    assert report.error is None


def test_complex_numbers_are_compared() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1, dtype=torch.complex64))
    _, report = spdbuild.convert_module(model, torch.randn(1, 3, 8, 8, dtype=torch.complex64))
    assert report.error is not None
    assert report.error < 1e-5

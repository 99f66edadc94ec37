"""What `convert_module` takes, and what it says of arguments that it does not take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import spdbuild
from spdbuild.errors import ArgumentError, InputError, PassError


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"placement": "after"}, ArgumentError, "placement must be 'before' for a module"),
        ({"kernels": "same"}, ArgumentError, "convert_module has no option 'kernels'"),
        ({"after": "conv"}, ArgumentError, "convert_module has no option 'after' for a module"),
        ({"pool": "mean"}, ArgumentError, "pool must be one of 'conv', 'keep'"),
        ({"keep": "stem"}, PassError, "keep: no part of the module is called 'stem'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        spdbuild.convert_module(nn.Sequential(nn.Conv2d(3, 4, 3, 2)), torch.randn(1, 3, 8, 8), **options)


def test_an_example_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"Sequential cannot be run on the example \(1, 4, 8, 8\)"):
        spdbuild.convert_module(nn.Sequential(nn.Conv2d(3, 4, 3, 2)), torch.randn(1, 4, 8, 8))


class Flagged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 8, 3, 2, 1), nn.MaxPool2d(2)

    def forward(self, x: Tensor, *, flag: bool) -> Tensor:
        return self.pool(self.conv(x)) if flag else x


def test_named_arguments_and_batches_of_a_data_loader() -> None:
    batches = [(torch.randn(4, 3, 16, 16), torch.zeros(4))] * 2
    x = torch.randn(1, 3, 16, 16)
    converted, report = spdbuild.convert_module(Flagged(), x, keywords={"flag": True}, calibrate=batches)
    assert converted(x, flag=True).shape == (1, 8, 4, 4)
    assert [entry.name for entry in report.replaced] == ["conv", "pool"]
    assert report.residuals.keys() == {"pool"}


@pytest.mark.parametrize(
    ("calibrate", "message"),
    [
        (torch.zeros(4, 3, 16, 16), "must come in batches, got one tensor"),
        ([torch.zeros(3, 16, 16)], r"must be a tensor \(N, C, H, W\), got \(3, 16, 16\)"),
        ([{"image": 1}], r"must be a tensor \(N, C, H, W\), got a dict"),
    ],
    ids=["tensor", "one image", "dictionary"],
)
def test_images_that_are_no_batches_are_refused(calibrate: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        spdbuild.convert_module(nn.Sequential(nn.MaxPool2d(2)), torch.zeros(1, 3, 16, 16), calibrate=calibrate)


@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        ("resnet18", torch.zeros(1, 3, 8, 8), r"module must be a torch\.nn\.Module, got a str"),
        (nn.Sequential(nn.LazyConv2d(4, 3, 2)), torch.zeros(1, 3, 8, 8), "shape of its '0.weight' is not known yet"),
        (nn.Conv2d(3, 4, 3, 2), {"x": 1}, "example must be a tensor or a list of arguments, got a dict"),
    ],
    ids=["name", "lazy", "dictionary"],
)
def test_arguments_of_other_types_are_refused(module: Any, example: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        spdbuild.convert_module(module, example)


def test_a_pattern_on_a_layer_without_a_name_has_no_empty_hint() -> None:
    with pytest.raises(PassError, match="no part of the module is called 'conv'") as caught:
        spdbuild.convert_module(nn.Conv2d(3, 4, 3, 2), torch.zeros(1, 3, 8, 8), keep=["conv"])
    assert "hint" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "remove"),
    [
        (lambda layer: prune.l1_unstructured(layer, "weight", 0.5), "prune.remove"),
        (nn.utils.weight_norm, "remove_weight_norm"),
        (nn.utils.spectral_norm, "remove_spectral_norm"),
    ],
    ids=["pruned", "weight norm", "spectral norm"],
)
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_how_layers_with_computed_weights_can_be_copied_is_told(
    change: Callable[[nn.Module], nn.Module], remove: str
) -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3, 2)), torch.zeros(1, 3, 8, 8)
    change(model[0])
    model(x)
    message = rf"torch\.nn\.utils\.{remove}\(layer, 'weight'\) makes the weight of '0' an ordinary parameter"
    with pytest.raises(InputError, match=message):
        spdbuild.convert_module(model, x)


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_a_frozen_script_is_not_the_fault_of_the_example() -> None:
    frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3, 2)).eval()))
    with pytest.raises(ArgumentError, match="module is frozen TorchScript: its layers are gone"):
        spdbuild.convert_module(frozen, torch.zeros(1, 3, 8, 8))

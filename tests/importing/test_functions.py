"""Functions of torch that do what an op does but for one argument, or along another axis."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild
from spdbuild.errors import InputError


class Calls(nn.Module):
    """A module that is one function."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "op"),
    [
        (lambda x: x.amax((2, 3)), "global_max_pool()"),
        (lambda x: torch.amax(x, dim=[-1, -2], keepdim=True), "global_max_pool(true)"),
        (lambda x: x.permute(0, 2, 3, 1).amax((1, 2)), "global_max_pool()"),
        (lambda x: torch.mean(x, (-2, -1)), "global_avg_pool()"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_runs_over_the_whole_image_is_a_pool(function: Callable[[Tensor], Tensor], op: str) -> None:
    x = torch.randn(2, 3, 4, 5)
    imported = spdbuild.import_module(Calls(function), x).architecture
    assert op in imported.text
    assert torch.equal(spdbuild.build(imported)(x), function(x))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: torch.add(x, x.relu(), alpha=2), "an addition with alpha"),
        (lambda x: x + 1, "an addition of a tensor and 1"),
        (lambda x: torch.cat([x, x.relu()], 2), "a concatenation on axis 2, which is not that of the channels"),
        (lambda x: x.chunk(3, 2)[0], "a split of axis 2, which is not that of the channels"),
        (lambda x: x.flatten(2), "flatten of the axes 2 to -1"),
        (lambda x: x.mean((1, 2)), "a mean over the axes (1, 2), other than over the whole image"),
        (
            lambda x: x.permute(0, 2, 3, 1).mean((1, 2), keepdim=True),
            "a mean over the axes (1, 2), other than over the whole image",
        ),
        (lambda x: x.amax(1), "a maximum over the axes 1, other than over the whole image"),
        (lambda x: x.permute(0, 2, 1, 3), "a permutation of the axes to (0, 2, 1, 3)"),
        (lambda x: x + x.permute(0, 2, 3, 1), "tensors whose channels are on different axes"),
        (lambda x: x.permute(0, 2, 3, 1).flatten(1), "flatten of an image whose channels are last"),
        (lambda x: x * torch.ones(3, 3, 3), "a product with a tensor of (3, 3, 3), other than one number a channel"),
        (
            lambda x: F.batch_norm(x, torch.zeros(3), torch.ones(3), torch.ones(3)),
            "a batch norm without running mean and variance, or with half of its weights",
        ),
        (lambda x: x.view(1, 9, 3), "a view of 3x3x3 as 9x3"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_op_does_is_named(function: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(InputError) as caught:
        spdbuild.import_module(Calls(function), torch.randn(1, 3, 3, 3))
    assert message in str(caught.value)

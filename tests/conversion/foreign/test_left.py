"""What `convert_module` leaves as it is, and the reasons that it gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import spdbuild
from spdbuild.errors import PassError


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2) if x.sum() > -1e9 else x


class Computing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, torch.ones(3, 1, 2, 2), stride=2, groups=3)


class Scaling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(1, 3, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel * 2, stride=2)


class Optional(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return F.max_pool2d(x, 2) if mask is None else x


class Training(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.training else F.max_pool2d(x, 2)


class Remembering(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        self.last = F.max_pool2d(x, 2)
        return self.last


class OwnForward(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 2


class Borrowing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv.weight, stride=2)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: Branching(), "torch.fx cannot follow its forward"),
        (lambda: Computing(), "torch.fx would fix a tensor that its forward makes"),
        (lambda: Scaling(), "its weight is computed while it runs"),
        (lambda: Optional(), "torch.fx would fix the optional argument 'mask'"),
        (lambda: Training(), "its forward does something else in training"),
        (lambda: Remembering(), "its forward changes the attribute 'last'"),
        (lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 2, 2))), "it is TorchScript"),
    ],
    ids=["branching", "computing", "scaling", "optional", "training", "remembering", "script"],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_what_cannot_be_seen_is_listed(make: Callable[[], nn.Module], why: str) -> None:
    x = torch.randn(1, 3, 8, 8)
    converted, report = spdbuild.convert_module(make(), x)
    assert len(report.unseen) == 1
    assert report.unseen[0].why.startswith(why)
    assert (report.replaced, report.error) == ((), 0.0)
    with pytest.raises(PassError, match=r"strict: 1 strided layers are left"):
        spdbuild.convert_module(make(), x, strict=True)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: OwnForward(3, 4, 2, 2), "has a forward of its own"),
        (lambda: Borrowing(), "its weight is read by the forward of another module, Borrowing"),
        (lambda: nn.Conv2d(3, 4, 3, 2, 1, padding_mode="reflect"), "its padding is not of zeros but 'reflect'"),
        (lambda: parametrizations.weight_norm(nn.Conv2d(3, 4, 2, 2)), "its weight is computed from other numbers"),
        (lambda: nn.AvgPool2d(2, divisor_override=3), "it divides by divisor_override=3"),
    ],
    ids=["own forward", "borrowed", "reflect", "weight norm", "divisor"],
)
def test_layers_that_stay_say_why(make: Callable[[], nn.Module], why: str) -> None:
    _, report = spdbuild.convert_module(make(), torch.randn(1, 3, 8, 8))
    assert [why in entry.why for entry in report.kept] == [True]
    assert report.unseen == ()


def test_sequences_are_not_images() -> None:
    model = nn.Sequential(nn.Conv1d(3, 4, 3, stride=2), nn.AvgPool1d(2))
    _, report = spdbuild.convert_module(model, torch.randn(1, 3, 20), strict=True)
    assert (report.replaced, report.left) == ((), ())

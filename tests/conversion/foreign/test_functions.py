"""`convert_module` on forwards that call strided functions."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import spdbuild


class Functional(nn.Module):
    """A strided convolution written as a function, on parameters of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(5, 3, 3, 3))
        self.offset = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(F.conv2d(x, self.kernel, self.offset, stride=2, padding=1))
        return F.avg_pool2d(y, 3, stride=2, padding=1)


def test_strided_functions_become_layers() -> None:
    model = Functional().double()
    x = torch.randn(2, 3, 15, 13, dtype=torch.float64)
    converted, report = spdbuild.convert_module(model, x, strict=True)
    assert [entry.name for entry in report.replaced] == ["conv2d", "avg_pool2d"]
    assert report.replaced[0].at.rpartition(":")[0] == __file__
    assert isinstance(converted, Functional)
    assert set(converted.state_dict()) == {"conv2d.weight", "conv2d.bias", "avg_pool2d.weight"}
    torch.testing.assert_close(converted(x), model(x))


def test_a_module_with_a_new_forward_can_be_copied_and_exported() -> None:
    x = torch.randn(1, 3, 9, 8)
    converted, _ = spdbuild.convert_module(Functional(), x)
    exported = torch.export.export(converted.eval(), (x,)).module()
    for other in (copy.deepcopy(converted), exported):
        torch.testing.assert_close(other(x), converted(x))


def test_a_kept_function_is_not_touched() -> None:
    converted, report = spdbuild.convert_module(Functional(), torch.randn(1, 3, 8, 8), keep="conv2d", pool="keep")
    assert [(entry.name, entry.why) for entry in report.kept] == [
        ("conv2d", "named in keep"),
        ("avg_pool2d", "pool=keep"),
    ]
    assert set(converted.state_dict()) == {"kernel", "offset"}

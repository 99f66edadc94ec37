"""What torch.fx, `import_module` and timm's own layers make of converted networks."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

import spdbuild
from spdbuild.nn import PaddedConv2d


def test_what_follows_a_forward_follows_that_of_a_converted_network() -> None:
    model, x = torchvision.models.resnet18().eval(), torch.randn(2, 3, 64, 64)
    converted, _ = spdbuild.convert_module(model, x)
    traced = fx.symbolic_trace(converted)
    torch.testing.assert_close(copy.deepcopy(traced)(x), converted(x), rtol=0, atol=0)
    assert traced(torch.randn(1, 3, 65, 71)).shape == (1, 1000)
    features = create_feature_extractor(converted, ["layer4"])(x)["layer4"]
    assert features.shape == (2, 512, 2, 2)


@pytest.mark.parametrize("options", [{}, {"pool": "keep"}, {"kernel": "same"}, {"kernel": 5}], ids=str)
def test_a_converted_network_can_be_imported(options: dict[str, Any]) -> None:
    model = nn.Sequential(nn.Conv2d(4, 8, (5, 3), (2, 1), (2, 0)), nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2))
    model.append(nn.Conv2d(8, 8, 3, 2, groups=4, bias=False)).append(PaddedConv2d(8, 4, 3, 2, ((0, 1), (1, 1))))
    x = torch.randn(1, 4, 64, 48)
    converted, _ = spdbuild.convert_module(model, x, **options)
    if options.get("pool") == "keep":
        converted = converted[:4]
    imported = spdbuild.import_module(converted, x)
    assert imported.error == 0
    assert "spd_conv2d(8, kernel=[5, 3], stride=[2, 1]" in imported.architecture.text


def conv2d_same(self: nn.Conv2d, x: Tensor) -> Tensor:
    """The forward of timm.layers.Conv2dSame: zeros as TensorFlow's "SAME" has them."""
    sides: list[int] = []
    for axis in (1, 0):
        size, (kernel, stride, gap) = (
            x.shape[2 + axis],
            (self.kernel_size[axis], self.stride[axis], self.dilation[axis]),
        )
        zeros = max((math.ceil(size / stride) - 1) * stride + (kernel - 1) * gap + 1 - size, 0)
        sides += [zeros // 2, zeros - zeros // 2]
    return F.conv2d(F.pad(x, sides), self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


Conv2dSame = type("Conv2dSame", (nn.Conv2d,), {"forward": conv2d_same, "__module__": "timm.layers.conv2d_same"})


@pytest.mark.parametrize(
    "arguments", [(3, 2), (5, 2), ((3, 5), (2, 3)), (2, 4), (3, 2, 0, 2), (3, 2, 0, 1, 3)], ids=str
)
def test_timms_convolution_is_exact_for_every_size(arguments: Any) -> None:
    conv = Conv2dSame(3, 6, *arguments).double()
    converted, report = spdbuild.convert_module(conv, torch.randn(1, 3, 32, 32, dtype=torch.float64))
    assert [entry.exact for entry in report.replaced] == [True]
    for size in ((33, 47), (7, 8), (1, 2)):
        x = torch.randn(2, 3, *size, dtype=torch.float64)
        torch.testing.assert_close(converted(x), conv(x), rtol=1e-12, atol=1e-12)

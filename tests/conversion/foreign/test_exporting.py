"""Converted modules in torch.export."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim, export

import spdbuild


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"]
)
def test_named_batch_height_and_width_stay_open(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 7, 2, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.AvgPool2d(3, 2, 1)).eval()
    model, x = model.to(memory_format=memory_format), torch.randn(2, 3, 48, 64).to(memory_format=memory_format)
    sizes = {0: Dim("batch", min=1, max=8), 2: Dim("height", min=16, max=256), 3: Dim("width", min=16, max=256)}
    converted, _ = spdbuild.convert_module(model, x, strict=True)
    exported = export(converted, (x,), dynamic_shapes=(sizes,)).module()

    for shape in ((2, 3, 48, 64), (3, 3, 37, 53), (1, 3, 100, 17)):
        y = torch.randn(shape)
        torch.testing.assert_close(exported(y), model(y))


@pytest.mark.parametrize("kernel", [1, 2])
def test_windows_without_padding_take_odd_sizes_too(kernel: int) -> None:
    model, x = nn.Conv2d(3, 4, kernel, 2).eval(), torch.randn(1, 3, 48, 64)
    converted, _ = spdbuild.convert_module(model, x, strict=True)
    sizes = {2: Dim("height", min=16, max=256), 3: Dim("width", min=16, max=256)}
    exported = export(converted, (x,), dynamic_shapes=(sizes,)).module()
    for shape in ((1, 3, 48, 64), (1, 3, 37, 53)):
        y = torch.randn(shape)
        torch.testing.assert_close(exported(y), model(y))

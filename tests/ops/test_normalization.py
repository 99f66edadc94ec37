"""Norms against what defines them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import spdbuild

MIXED = """
model: mixed
inputs: {image: [2, 3, 5]}
layers:
  - i: instance_norm()
  - l: layer_norm()
"""


def test_the_instance_norm_is_torchs():
    model = spdbuild.build("{model: one, inputs: {image: [3, 4, 5]}, layers: [norm: instance_norm(epsilon=0.01)]}\n")
    with torch.no_grad():
        model.norm.weight.uniform_()
        model.norm.bias.uniform_()
    x = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(model(x), F.instance_norm(x, None, None, model.norm.weight, model.norm.bias, eps=0.01))


@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_an_instance_norm_are_right_below_a_norm_of_pixels(batch: int):
    # The gradient of torch's own InstanceNorm2d is wrong here for a batch of 1.
    model = spdbuild.build(MIXED).double()
    x = torch.randn(batch, 2, 3, 5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda image: model(image) ** 2, x)

"""Strided 1x1 convolutions of few channels, whose gradient oneDNN computes wrongly with the channels innermost."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from spdbuild.nn.convolution import PaddedConv2d
from spdbuild.training.network.strided_pointwise import without_strides

NETWORK = """\
model: narrow
inputs: {image: [3, 16, 16]}
vars: {classes: 3}
layers:
  - stem: conv2d(4, 1, stride=2)
  - norm: batch_norm()
  - relu()
  - skip: conv2d(8, 1, stride=2)
  - global_avg_pool()
  - head: linear(classes)
"""

RECIPE = """\
architecture: {architecture}
data: {{name: generated, classes: 3, train: 96, test: 24, size: 16}}
batch: 8
epochs: 3
workers: 0
"""


@pytest.mark.parametrize(
    ("layer", "concerned"),
    [
        (nn.Conv2d(4, 8, 1, stride=2), True),
        (nn.Conv2d(7, 5, 1, stride=(1, 3), bias=False), True),
        (nn.Conv2d(8, 8, 1, stride=2), False),
        (nn.Conv2d(4, 8, 1), False),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1), False),
        (nn.Conv2d(4, 8, 1, stride=2, padding=1), False),
        (nn.Conv2d(4, 8, 1, stride=2, groups=2), False),
        (PaddedConv2d(3, 4, 1, stride=2, padding=((1, 0), (1, 2))), True),
    ],
    ids=str,
)
def test_outputs_and_gradients_are_those_with_strides(layer: nn.Conv2d, concerned: bool) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(layer, nn.ReLU())
    images = torch.randn(4, layer.in_channels, 17, 18, requires_grad=True)
    # As it is, and with the channels outermost, where oneDNN is right.
    expected = model(images)
    expected.square().sum().backward()
    gradients = [images.grad, *(parameter.grad for parameter in model.parameters())]

    changed = copy.deepcopy(model)
    changed.zero_grad()
    assert without_strides(changed) == (["0"] if concerned else [])
    changed = pickle.loads(pickle.dumps(changed)).to(memory_format=torch.channels_last)
    assert list(changed.state_dict()) == list(model.state_dict())
    inputs = images.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    outputs = torch.compile(changed, backend="eager", fullgraph=True)(inputs)
    outputs.square().sum().backward()
    torch.testing.assert_close(outputs, expected, atol=1e-5, rtol=1e-5)
    for found, wanted in zip(
        [inputs.grad, *(parameter.grad for parameter in changed.parameters())], gradients, strict=True
    ):
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_narrow_network_trains_without_harm_to_the_heap(tmp_path: Path) -> None:
    (tmp_path / "narrow.yaml").write_text(NETWORK)
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(architecture=tmp_path / "narrow.yaml"))
    command = [sys.executable, "-m", "spdbuild", "train", "recipe.yaml", "--quiet"]
    # Without it a write past the end of a buffer may go unnoticed for long; glibc's own, and no harm where it lacks it.
    checked = {"LD_PRELOAD": "libc_malloc_debug.so.0", "MALLOC_CHECK_": "3", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **checked}, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    losses = (tmp_path / "runs" / "recipe" / "metrics.csv").read_text().splitlines()
    assert len(losses) == 4

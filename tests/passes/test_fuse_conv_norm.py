"""The cases of the pass, numbered as in its documentation."""

from __future__ import annotations

import pytest
import torch

import spdbuild
from spdbuild.conversion.verification import random_weights
from spdbuild.graph import Graph
from spdbuild.passes import run_passes
from spdbuild.passes.fuse_conv_norm import FuseConvNorm


def graph_of(lines: str) -> Graph:
    return spdbuild.load(f"model: m\ninputs: {{image: [3, 8, 8]}}\nlayers:\n{lines}").graph


@pytest.mark.parametrize("norm", ["batch_norm()", "batch_norm(epsilon=0.5)", "batch_norm(affine=false)"])
@pytest.mark.parametrize("conv", ["conv2d(4, 3)", "conv2d(4, 3, bias=true)", "spd_conv2d(4, 3, stride=2, bias=true)"])
def test_case_1_the_convolution_does_what_the_norm_did(conv: str, norm: str) -> None:
    graph, step = graph_of(f"  - conv: {conv}\n  - norm: {norm}\n"), FuseConvNorm()
    weights = random_weights(graph)
    fused, changes = run_passes(graph, [step])
    assert fused.names == ["image", "conv"]
    old, new = (spdbuild.build(one).double().eval() for one in (graph, fused))
    old.load_state_dict(weights)
    new.load_state_dict(step.transfer(graph, fused, changes, weights))
    images = torch.linspace(-1, 1, 2 * 3 * 8 * 8, dtype=torch.float64).reshape(2, 3, 8, 8)
    torch.testing.assert_close(new(images), old(images), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "lines",
    ["  - add() <- conv, norm\n", "outputs: [conv, norm]\n"],
    ids=["a reader", "an output"],
)
def test_case_2_a_convolution_that_something_else_needs_keeps_its_norm(lines: str) -> None:
    graph = graph_of(f"  - conv: conv2d(4)\n  - norm: batch_norm()\n{lines}")
    fused, changes = run_passes(graph, [FuseConvNorm()])
    assert fused == graph
    assert [change.why for change in changes] == ["conv has other readers"]

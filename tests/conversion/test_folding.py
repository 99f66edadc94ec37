"""Folding undoes an exact conversion, bit by bit, and keeps the function of a trained one."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import spdbuild
from spdbuild.conversion.folding import Folding, fold
from spdbuild.conversion.verification import random_weights
from spdbuild.errors import ShapeError
from spdbuild.graph import Graph
from spdbuild.ops.convolution import Conv2d
from spdbuild.passes import run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd
from spdbuild.shape import Shape
from spdbuild.weight_transfer import carry_over


def outputs(graph: Graph, weights: Any) -> list[Tensor]:
    model = spdbuild.build(graph).double().eval()
    model.load_state_dict(weights)
    torch.manual_seed(1)
    with torch.no_grad():
        found = model(torch.randn(2, *graph.inputs[0].shape, dtype=torch.float64))
    return found if isinstance(found, list) else [found]


def folded(graph: Graph, **options: Any) -> Folding:
    """The network folded with random weights; its function is compared."""
    weights = random_weights(graph)
    folding = fold(graph, weights, **options)
    for ours, theirs in zip(outputs(folding.graph, folding.weights), outputs(graph, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    return folding


def assert_fold_undoes(graph: Graph, **options: Any) -> None:
    """Converted, carried over and folded, it is the same network with the same bits."""
    weights = random_weights(graph)
    converted, _ = run_passes(graph, [StridedToSpd(**options)])
    assert converted != graph
    folding = fold(converted, carry_over(graph, converted, weights), fuse=False)
    assert folding.graph == graph
    assert folding.weights is not None
    assert list(folding.weights) == list(weights)
    assert all(torch.equal(folding.weights[name], tensor) for name, tensor in weights.items())


def assert_same_function(graph: Graph, converted: Graph, **options: Any) -> Folding:
    """The converted network folded with the weights carried over, which computes what the first one does."""
    weights = random_weights(graph)
    folding = fold(converted, carry_over(graph, converted, weights), **options)
    for ours, theirs in zip(outputs(folding.graph, folding.weights), outputs(graph, weights), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    return folding


@settings(max_examples=100)
@given(
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    stride=st.tuples(st.integers(2, 4), st.integers(2, 4)),
    padding=st.one_of(st.none(), st.integers(0, 3), st.just(((2, 0), (1, 3)))),
    dilation=st.integers(1, 3),
    groups=st.sampled_from([1, 2, 6]),
    bias=st.booleans(),
    spd_kernel=st.sampled_from(["exact", 19]),
    size=st.tuples(st.integers(1, 24), st.integers(1, 24)),
)
def test_folding_a_converted_convolution_is_the_identity(
    kernel: Any, stride: Any, padding: Any, dilation: int, groups: int, bias: bool, spd_kernel: Any, size: Any
) -> None:
    op = Conv2d(12, kernel, stride, padding, dilation, groups, bias)
    spans = [dilation * (k - 1) for k in kernel]
    assume(all(s + sum(p) > span for s, p, span in zip(size, op.paddings(), spans, strict=True)))
    graph = spdbuild.load("model: m\ninputs: {image: [6, 99, 99]}\nlayers:\n  - conv: conv2d(12)\n").graph
    graph.replace_op("conv", op)
    graph = graph.with_inputs([Shape(6, *size)])
    assert_fold_undoes(graph, kernel=spd_kernel)


def test_an_average_pool_comes_back_as_one() -> None:
    text = "model: m\ninputs: {image: [3, 16, 16]}\nlayers:\n  - shrink: avg_pool(3, stride=2)\n  - conv: conv2d(4)\n"
    assert_fold_undoes(spdbuild.load(text).graph)


def test_yolov5_comes_back() -> None:
    assert_fold_undoes(spdbuild.load("yolov5", variant="n", inputs=[(3, 64, 64)]).graph)


def test_mobilenet_with_its_depthwise_convolutions_comes_back() -> None:
    assert_fold_undoes(spdbuild.load("mobilenet_v2", inputs=[(3, 64, 64)]).graph)


def test_resnet50_comes_back_but_for_its_max_pool() -> None:
    assert_fold_undoes(spdbuild.load("resnet50", inputs=[(3, 64, 64)]).graph, pool="keep")


@pytest.mark.parametrize("preset", ["paper", "released-yolov5"])
@pytest.mark.parametrize("fuse", [True, False])
def test_a_trained_yolov5_spd_folds_to_strided_convolutions(preset: str, fuse: bool) -> None:
    arch = spdbuild.load("yolov5", variant="n", inputs=[(3, 64, 64)])
    folding = folded(spdbuild.convert(arch, preset)[1].after, fuse=fuse)
    left = {node.op.name for node in folding.graph} & {"space_to_depth", "spd_conv2d", "spd_max_pool"}
    assert not left
    assert not folding.kept
    assert ("batch_norm" in {node.op.name for node in folding.graph}) is not fuse


def test_a_trained_released_resnet_folds_to_strided_convolutions() -> None:
    arch = spdbuild.load("resnet50", inputs=[(3, 64, 64)])
    folding = folded(spdbuild.convert(arch, "released-resnet")[1].after, into_producers=True)
    left = {node.op.name for node in folding.graph} & {"space_to_depth", "batch_norm"}
    assert not left


def test_new_taps_that_are_trained_make_the_kernel_larger() -> None:
    """Of a 3x3 kernel in 2x2 blocks of 2x2 pixels, the first row and column of pixels are new."""
    text = "model: m\ninputs: {image: [3, 16, 16]}\nlayers:\n  - conv: spd_conv2d(4, 3, stride=2)\n"
    graph = spdbuild.load(text).graph
    weight = torch.randn(4, 12, 2, 2)
    assert str(fold(graph, {"conv.weight": weight}).graph["conv"].op).endswith("padding=[[2, 1], [2, 1]])")
    weight[:, :6, 0] = 0
    weight[:, 0:3, 0, :] = weight[:, 6:9, 0, :] = 0
    trimmed = fold(graph, {"conv.weight": weight}).graph["conv"].op
    assert str(trimmed) == "conv2d(4, kernel=[3, 4], stride=2, padding=[[1, 1], [2, 1]])"


def test_a_kernel_smaller_than_the_strided_one_is_preferred_to_it() -> None:
    text = "model: m\ninputs: {image: [3, 16, 16]}\nlayers:\n  - conv: conv2d(4, 3, stride=2)\n"
    graph = spdbuild.load(text).graph
    weight = torch.randn(4, 3, 3, 3)
    weight[:, :, 0] = weight[:, :, :, 0] = 0
    converted, _ = run_passes(graph, [StridedToSpd()])
    folding = fold(converted, carry_over(graph, converted, {"conv.weight": weight}))
    assert str(folding.graph["conv"].op) == "conv2d(4, kernel=2, stride=2)"
    assert folding.weights is not None
    assert torch.equal(folding.weights["conv.weight"], weight[:, :, 1:, 1:])


def test_zeros_in_the_other_phases_fold_to_the_kernel_that_skips_them() -> None:
    """A network placed after with the strided one's weights: the readers read one pixel of four again."""
    text = "model: m\ninputs: {image: [3, 16, 16]}\nlayers:\n  - conv: conv2d(4, 3, stride=2)\n  - next: conv2d(5, 3)\n"
    graph = spdbuild.load(text).graph
    converted, _ = run_passes(graph, [StridedToSpd(placement="after")])
    folding = fold(converted, carry_over(graph, converted, random_weights(graph)))
    assert str(folding.graph["next"].op) == "conv2d(5, kernel=3, stride=2, dilation=2)"


def test_a_space_to_depth_in_front_of_an_spd_conv_goes_into_its_stride() -> None:
    text = "model: m\ninputs: {image: [3, 32, 32]}\nlayers:\n  - a: conv2d(8, 3, stride=2)\n  - c: conv2d(4, stride=2)"
    graph = spdbuild.load(text).graph
    converted, _ = run_passes(graph, [StridedToSpd(placement="after", before=("c",))])
    assert [str(node.op) for node in converted.layers][1:] == ["space_to_depth()", "spd_conv2d(4, stride=2)"]
    c = assert_same_function(graph, converted).graph["c"].op
    assert isinstance(c, Conv2d)
    assert c.stride == 4


def test_a_projection_placed_before_behind_a_stem_placed_after_folds() -> None:
    text = """model: m
inputs: {image: [3, 32, 32]}
layers:
  - stem: conv2d(8, 3, stride=2)
  - start: relu()
  - first: conv2d(8, 3, stride=2)
  - skip: conv2d(8, stride=2) <- start
  - add() <- first, skip
"""
    graph = spdbuild.load(text).graph
    converted, _ = run_passes(graph, [StridedToSpd(placement="after")])
    assert converted["skip"].op.name == "spd_conv2d"
    assert_same_function(graph, converted)


CONVOLUTIONS = st.builds(
    Conv2d,
    out=st.sampled_from([4, 8]),
    kernel=st.integers(1, 4),
    stride=st.sampled_from([1, 2, 2, 3, (1, 2)]),
    bias=st.booleans(),
)


@settings(max_examples=150)
@given(
    convolutions=st.lists(CONVOLUTIONS, min_size=2, max_size=4),
    behind=st.lists(st.sampled_from(["", "relu()", "batch_norm()"]), min_size=4, max_size=4),
    before=st.sets(st.integers(0, 3)),
    after=st.sampled_from(["conv", "act"]),
    size=st.tuples(st.integers(16, 48), st.integers(16, 48)),
    into_producers=st.booleans(),
)
def test_chains_of_both_placements_fold_to_the_function_they_began_with(
    convolutions: list[Conv2d],
    behind: list[str],
    before: set[int],
    after: Literal["conv", "act"],
    size: tuple[int, int],
    into_producers: bool,
) -> None:
    lines = []
    for number, (convolution, line) in enumerate(zip(convolutions, behind, strict=False)):
        lines += [f"  - conv{number}: {convolution}\n", f"  - behind{number}: {line}\n" if line else ""]
    text = f"model: m\ninputs: {{image: [4, {size[0]}, {size[1]}]}}\nlayers:\n{''.join(lines)}"
    try:
        graph = spdbuild.load(text).graph
    except ShapeError:
        assume(False)
    named = tuple(f"conv{number}" for number in before if number < len(convolutions))
    converted, _ = run_passes(graph, [StridedToSpd(placement="after", after=after, before=named)])
    assert_same_function(graph, converted, into_producers=into_producers)


def test_without_weights_every_tap_counts() -> None:
    text = "model: m\ninputs: {image: [3, 16, 16]}\nlayers:\n  - conv: spd_conv2d(4, 1, stride=2)\n"
    folding = fold(spdbuild.load(text).graph)
    assert str(folding.graph["conv"].op) == "conv2d(4, kernel=2, stride=2)"
    assert folding.weights is None


def test_an_architecture_folds_as_its_graph_does() -> None:
    arch = spdbuild.load("resnet50_spd_cifar10")
    assert spdbuild.fold(arch).graph == fold(arch.graph).graph

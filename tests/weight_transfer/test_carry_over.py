"""A converted network with the weights carried over computes what the strided one does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spdbuild
from spdbuild import builtin
from spdbuild.errors import PassError, WeightsError
from spdbuild.graph import Graph
from spdbuild.passes import run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd, is_strided
from spdbuild.shape import Shape
from spdbuild.weight_transfer import carry_over


def randomized(graph: Graph) -> nn.Module:
    """The network in float64 and evaluation; norms with statistics of their own."""
    torch.manual_seed(0)
    model = spdbuild.build(graph).double().eval()
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_var", "norm.weight")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.5)
    return model


def graph_of(lines: str, size: str = "3, 16, 16") -> Graph:
    return spdbuild.load(f"model: m\ninputs: {{image: [{size}]}}\nlayers:\n{lines}").graph


def outputs(model: nn.Module, graph: Graph) -> list[Tensor]:
    torch.manual_seed(1)
    images = torch.randn(2, *graph.inputs[0].shape, dtype=torch.float64)
    with torch.no_grad():
        found = model(images)
    return found if isinstance(found, list) else [found]


def assert_same_function(graph: Graph, **options: Any) -> Graph:
    """Convert with the options; returns the converted graph."""
    changed, changes = run_passes(graph, [StridedToSpd(**options)])
    assert any(not change.left for change in changes)
    old, new = randomized(graph), spdbuild.build(changed).double().eval()
    new.load_state_dict(StridedToSpd(**options).transfer(graph, changed, changes, old.state_dict()))
    for ours, theirs in zip(outputs(new, graph), outputs(old, graph), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    return changed


CHAIN = """
  - conv: conv2d(8, 3, stride=2)
  - norm: batch_norm()
  - act: silu()
  - next: conv2d(4, 3)
"""
#: What stands between a strided convolution and what reads it, and who reads it.
READERS = {
    "convolution": CHAIN,
    "biased convolution": CHAIN + "  - last: conv2d(4, 3, stride=2, bias=true)\n",
    "linear behind a global pool": CHAIN
    + "  - conv2: conv2d(8, 3, stride=2)\n  - global_avg_pool()\n  - head: linear(5)\n",
    "linear behind flatten": CHAIN + "  - conv2: conv2d(8, 3, stride=2)\n  - flatten()\n  - head: linear(5)\n",
    "two convolutions": CHAIN + "  - other: conv2d(4) <- act\n  - concat() <- next, other\n",
    "concat": CHAIN + "  - low: conv2d(6, 3, stride=2) <- image\n  - concat() <- act, low\n  - mixed: conv2d(5) \n",
    "max pool of stride 1": CHAIN.replace("act: silu()", "max_pool(3)"),
    "strided max pool": CHAIN.replace("  - next", "  - max_pool(3, stride=2)\n  - next"),
    "upsample": CHAIN.replace("  - next", "  - upsample(2)\n  - next"),
    "layer scale": CHAIN.replace("act: silu()", "scale: layer_scale(0.5)"),
    "dropout": CHAIN.replace("act: silu()", "dropout(0.5)"),
    "grouped convolution in front": CHAIN.replace("2d(8, 3, stride=2)", "2d(9, 3, stride=2, groups=3)"),
    "dilated": CHAIN.replace("3, stride=2)", "3, stride=2, dilation=2)"),
    "stride of 3": CHAIN.replace("stride=2", "stride=3"),
    "stride of the rows alone": CHAIN.replace("stride=2", "stride=[2, 1]"),
    "one feeds another": CHAIN.replace("4, 3)", "4, 3, stride=2)") + "  - last: conv2d(2)\n",
}


@pytest.mark.parametrize("after", ["conv", "act"])
@pytest.mark.parametrize("size", ["3, 16, 16", "3, 15, 13"])
@pytest.mark.parametrize("lines", READERS.values(), ids=list(READERS))
def test_placement_after_keeps_the_function(lines: str, size: str, after: str) -> None:
    changed = assert_same_function(graph_of(lines, size), placement="after", after=after, pool="keep")
    assert any(node.op.name == "space_to_depth" for node in changed)


@pytest.mark.parametrize("kernel", ["exact", "same", 5])
@pytest.mark.parametrize("lines", READERS.values(), ids=list(READERS))
def test_placement_before_keeps_the_function(lines: str, kernel: Any) -> None:
    assert_same_function(graph_of(lines), kernel=kernel, pool="keep")


def test_a_converted_reader_of_a_converted_layer_keeps_its_function() -> None:
    """`one` is placed after, so `two`, placed before, reads 4 times the channels and has blocks of its own."""
    lines = "  - one: conv2d(6, 3, stride=2)\n  - relu()\n  - two: conv2d(4, 3, stride=2)\n"
    changed = assert_same_function(graph_of(lines), placement="after", before=("two",))
    assert changed["two"].op.name == "spd_conv2d"
    assert changed["two"].input_shapes[0].channels == 24


def test_an_average_pool_is_carried_over_exactly() -> None:
    changed = assert_same_function(graph_of("  - shrink: avg_pool(3, stride=2)\n  - conv: conv2d(4)\n"))
    assert changed["shrink"].op.name == "spd_avg_pool"


def test_an_average_pool_of_added_channels_averages_them_too() -> None:
    lines = "  - conv: conv2d(6, 3, stride=2)\n  - shrink: avg_pool(2, stride=2)\n  - last: conv2d(4)\n"
    assert_same_function(graph_of(lines), placement="after")


def test_a_max_pool_begins_as_the_mean_of_its_block() -> None:
    graph = graph_of("  - pool: max_pool(2, stride=2)\n")
    changed, _ = run_passes(graph, [StridedToSpd()])
    model = spdbuild.build(changed)
    model.load_state_dict(carry_over(graph, changed, {}))
    images = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(model(images), nn.AvgPool2d(2)(images))


def test_released_yolov5_on_a_small_image_keeps_its_raw_predictions() -> None:
    graph = spdbuild.load("yolov5", variant="n", inputs=[(3, 64, 64)]).graph
    changed = assert_same_function(graph, placement="after", after="act", before=("backbone.stem",), pool="keep")
    assert changed.parameters == 2_256_157


def test_yolov5_on_a_small_image_keeps_its_raw_predictions() -> None:
    assert_same_function(spdbuild.load("yolov5", variant="n", inputs=[(3, 64, 64)]).graph)


@pytest.mark.parametrize(
    "options", [{"pool": "keep"}, {"placement": "after", "after": "conv", "pool": "keep"}], ids=str
)
def test_resnet50_on_a_small_image_keeps_its_logits(options: Any) -> None:
    assert_same_function(spdbuild.load("resnet50", inputs=[(3, 64, 64)]).graph, **options)


def test_untouched_weights_are_the_very_same_tensors() -> None:
    graph = graph_of(CHAIN)
    changed, _ = run_passes(graph, [StridedToSpd()])
    weights = randomized(graph).state_dict()
    carried = carry_over(graph, changed, weights)
    assert carried["next.weight"] is weights["next.weight"]
    assert carried["conv.weight"].dtype == torch.float64


def refusal(lines: str, **options: Any) -> str:
    graph = graph_of(lines)
    changed, changes = run_passes(graph, [StridedToSpd(**options)])
    with pytest.raises(PassError) as caught:
        StridedToSpd(**options).transfer(graph, changed, changes, randomized(graph).state_dict())
    return str(caught.value)


def test_a_kernel_that_is_too_small_is_refused() -> None:
    told = refusal(CHAIN, kernel=1)
    assert "1x1 blocks have no place for every tap of conv2d(8, kernel=3, stride=2)" in told
    assert "lossy" in told


def test_a_lossy_transfer_keeps_the_taps_that_fit() -> None:
    """A 3x3 kernel, padding 1: its own block holds the taps 1 and 2 of each axis."""
    graph = graph_of("  - conv: conv2d(2, 3, stride=2)\n")
    changed, _ = run_passes(graph, [StridedToSpd(kernel=1)])
    weight = torch.randn(2, 3, 3, 3)
    carried = carry_over(graph, changed, {"conv.weight": weight}, lossy=True)["conv.weight"]
    kept = weight[:, :, 1:, 1:].permute(0, 3, 2, 1).reshape(2, 12, 1, 1)
    torch.testing.assert_close(carried, kept, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("reader", "why"),
    [
        ("deep: conv2d(8, 3, groups=8)", "its 8 groups would read other channels than they did"),
        ("down: spd_conv2d(8, 3, stride=2)", "it was converted before"),
        ("norm2: group_norm(4)", "it would mix channels that were not there"),
        ("norm2: layer_norm()", "its mean would be taken over channels that were not there"),
    ],
)
def test_a_reader_that_cannot_ignore_the_new_channels_is_named(reader: str, why: str) -> None:
    told = refusal(
        f"  - conv: conv2d(8, 3, stride=2)\n  - {reader}\n  - last: conv2d(2)\n", placement="after", after="conv"
    )
    assert why in told
    assert "--before" in told


def test_weights_of_another_network_are_refused() -> None:
    graph = graph_of(CHAIN)
    changed, _ = run_passes(graph, [StridedToSpd()])
    with pytest.raises(WeightsError, match=r"the weights have no 'conv\.weight'"):
        carry_over(graph, changed, {})


def test_outputs_in_another_order_are_refused() -> None:
    graph = graph_of("  - a: conv2d(4)\n  - b: conv2d(4) <- image\noutputs: [a, b]\n")
    other = graph.copy()
    other.outputs = graph.outputs[::-1]
    with pytest.raises(PassError, match="output 'b' of m has other channels than output 'a' of m"):
        carry_over(graph, other, randomized(graph).state_dict())


def test_a_network_with_other_layers_is_refused() -> None:
    one, other = graph_of(CHAIN), graph_of(CHAIN.replace("next", "deep"))
    with pytest.raises(PassError, match="has no layer 'deep'"):
        carry_over(one, other, randomized(one).state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["n", "s", "m", "l"])
@pytest.mark.parametrize("preset", ["paper", "released-yolov5"])
def test_all_sizes_of_yolov5_keep_their_raw_predictions(variant: str, preset: str) -> None:
    _, report = spdbuild.convert(spdbuild.load("yolov5", variant=variant, inputs=[(3, 64, 64)]), preset)
    graph = report.before
    old, new = randomized(graph), spdbuild.build(report.after).double().eval()
    new.load_state_dict(carry_over(graph, report.after, old.state_dict()))
    for ours, theirs in zip(outputs(new, graph), outputs(old, graph), strict=True):
        assert (ours - theirs).abs().max() <= 1e-10 * theirs.abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin.listed("architectures"))
def test_every_architecture_that_comes_with_the_package_keeps_its_function(name: str) -> None:
    document = spdbuild.load(name, variant="n") if name.startswith("yolov5") else spdbuild.load(name)
    size = min(document.graph.inputs[0].shape.height, 64)
    graph = document.graph.with_inputs([Shape(3, size, size)])
    if not any(is_strided(node.op) and node.op.family == "convolution" for node in graph):
        pytest.skip("it has no strided convolution")
    assert_same_function(graph, pool="keep")

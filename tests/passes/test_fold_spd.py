"""The cases of the pass, numbered as in its documentation; the function stays in every one."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn

import spdbuild
from spdbuild.graph import Graph
from spdbuild.passes import Change, run_passes
from spdbuild.passes.fold_spd import FoldSpd

from .layers import ops


def folded(lines: str, size: str = "3, 16, 16", **options: Any) -> tuple[Graph, list[Change]]:
    """The graph behind the pass; its function is compared with that before it, in float64."""
    graph = spdbuild.load(f"model: m\ninputs: {{image: [{size}]}}\nlayers:\n{lines}").graph
    step = FoldSpd(**options)
    changed, changes = run_passes(graph, [step])
    torch.manual_seed(0)
    old, new = (spdbuild.build(g).double().eval() for g in (graph, changed))
    _randomize(old)
    new.load_state_dict(step.transfer(graph, changed, changes, old.state_dict()))
    images = torch.randn(2, *graph.inputs[0].shape, dtype=torch.float64)
    torch.testing.assert_close(new(images), old(images), rtol=1e-11, atol=1e-11)
    return changed, changes


def _randomize(model: nn.Module) -> None:
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point():
            tensor.normal_()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("spd_conv2d(8, 3, stride=2)", "conv2d(8, kernel=4, stride=2, padding=[[2, 1], [2, 1]])"),
        ("spd_conv2d(8, 6, stride=2)", "conv2d(8, kernel=6, stride=2)"),
        ("spd_conv2d(8, 2, stride=2, bias=true)", "conv2d(8, kernel=2, stride=2, bias=true)"),
        ("spd_conv2d(9, 3, stride=3, padding=0, groups=3)", "conv2d(9, kernel=3, stride=3, padding=0, groups=3)"),
        ("spd_max_pool(2, stride=2)", "conv2d(3, kernel=2, stride=2)"),
        ("spd_avg_pool(3, stride=2)", "conv2d(3, kernel=4, stride=2, padding=[[2, 1], [2, 1]])"),
        ("spd_avg_pool(2, stride=2, ceil=true)", "conv2d(3, kernel=2, stride=2, padding=[[0, 1], [0, 1]])"),
    ],
)
def test_case_1_an_spd_layer_is_one_strided_convolution(line: str, expected: str) -> None:
    size = "3, 15, 15" if "ceil" in line else "3, 16, 16"
    graph, _ = folded(f"  - down: {line}\n", size)
    assert ops(graph) == [f"down {expected}"]


@pytest.mark.parametrize("spd_kernel", ['"exact"', '"same"', 1, 4])
@pytest.mark.parametrize("size", ["4, 16, 16", "4, 15, 13"])
@pytest.mark.parametrize("window", ["3, stride=2", "5, stride=3, padding=0", "[7, 2], stride=[4, 2], dilation=[1, 3]"])
def test_case_1_every_spd_kernel_folds_at_every_size(window: str, size: str, spd_kernel: Any) -> None:
    graph, _ = folded(f"  - down: spd_conv2d(8, {window}, spd_kernel={spd_kernel}, groups=2)\n", size)
    assert graph["down"].op.name == "conv2d"


def test_case_2_all_convolutions_that_read_space_to_depth_fold_with_it() -> None:
    lines = "  - depth: space_to_depth()\n  - one: conv2d(8)\n  - two: conv2d(4) <- depth\n  - concat() <- one, two\n"
    graph, _ = folded(lines)
    assert ops(graph)[:2] == ["one conv2d(8, kernel=2, stride=2)", "two conv2d(4, kernel=2, stride=2)"]


@pytest.mark.parametrize("order", ["column_row_channel", "row_column_channel", "channel_row_column"])
@pytest.mark.parametrize("size", ["4, 12, 12", "4, 13, 11"])
@pytest.mark.parametrize("conv", ["3", "3, stride=2", "2, dilation=2", "3, padding=[[1, 0], [0, 2]], bias=true"])
def test_case_2_every_order_and_convolution(conv: str, size: str, order: str) -> None:
    graph, _ = folded(f'  - space_to_depth(3, order="{order}")\n  - conv: conv2d(8, {conv})\n', size)
    assert [node.op.name for node in graph.layers] == ["conv2d"]


def test_case_2_groups_fold_where_they_have_whole_channels() -> None:
    lines = '  - space_to_depth(order="channel_row_column")\n  - conv: conv2d(8, 3, groups=4)\n'
    graph, _ = folded(lines, "4, 8, 8")
    assert ops(graph) == ["conv conv2d(8, kernel=6, stride=2, groups=4)"]


CONCAT = """
  - low: conv2d(5, 2, stride=2)
  - fine: space_to_depth() <- image
  - both: concat() <- low, fine
  - one: conv2d(8, bias=true)
  - two: conv2d(4, 3) <- both
  - concat() <- one, two
"""


def test_case_3_a_convolution_behind_a_concat_is_cut_in_two() -> None:
    graph, _ = folded(CONCAT)
    assert ops(graph)[1:7] == [
        "one conv2d(8, bias=true)",
        "one_fine conv2d(8, kernel=2, stride=2)",
        "one_sum add()",
        "two conv2d(4, kernel=3)",
        "two_fine conv2d(4, kernel=6, stride=2)",
        "two_sum add()",
    ]
    assert "both" not in graph


def test_case_3_several_at_one_concat() -> None:
    lines = CONCAT.replace("<- low, fine", "<- fine, low, other, fine2").replace(
        "  - both", "  - other: conv2d(3, 2, stride=2) <- image\n  - fine2: space_to_depth() <- image\n  - both"
    )
    graph, _ = folded(lines)
    assert Counter(node.op.name for node in graph.layers) == Counter(conv2d=8, add=4, concat=2)


def test_case_3_a_concat_of_nothing_else() -> None:
    lines = "  - one: space_to_depth()\n  - two: space_to_depth() <- image\n  - concat() <- one, two\n"
    graph, _ = folded(f"{lines}  - conv: conv2d(4, 3)\n")
    assert Counter(node.op.name for node in graph.layers) == Counter(conv2d=2, add=1)


@pytest.mark.parametrize("order", ["column_row_channel", "channel_row_column"])
@pytest.mark.parametrize("conv", ["3", "4, padding=0, bias=true", "3, dilation=2", "[1, 3]"])
def test_case_4_space_to_depth_in_front_of_a_norm_folds_into_the_convolution(conv: str, order: str) -> None:
    lines = f'  - conv: conv2d(4, {conv})\n  - space_to_depth(order="{order}")\n  - norm: batch_norm()\n'
    graph, _ = folded(lines, "3, 15, 15" if "4, " in conv else "3, 16, 16", into_producers=True)
    assert [node.op.name for node in graph.layers] == ["conv2d", "batch_norm"]
    assert graph["conv"].shape.channels == 16


@pytest.mark.parametrize("order", ["column_row_channel", "row_column_channel", "channel_row_column"])
def test_case_4_groups_stay_together_only_in_the_order_that_keeps_the_phases_of_a_channel_side_by_side(
    order: str,
) -> None:
    lines = f'  - conv: conv2d(6, 3, groups=3)\n  - space_to_depth(order="{order}")\n  - norm: batch_norm()\n'
    graph, _ = folded(lines, into_producers=True)
    assert ("space_to_depth" not in {node.op.name for node in graph}) == (order == "channel_row_column")


def test_case_4_applies_on_request_alone() -> None:
    _, changes = folded("  - conv: conv2d(4)\n  - space_to_depth()\n  - norm: batch_norm()\n")
    why = "norm reads it: batch_norm(); into_producers folds it into conv, which costs MACs"
    assert [change.why for change in changes] == [why]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("  - space_to_depth()\n", "it is an output of the network"),
        ("  - space_to_depth()\n  - relu()\n", "relu reads it: relu()"),
        ("  - space_to_depth()\n  - conv: conv2d(12, groups=12)\n", "conv reads it: conv2d(12, groups=12)"),
        (
            "  - fine: space_to_depth()\n  - low: conv2d(2, 2, stride=2) <- image\n"
            "  - concat() <- low, fine\n  - relu()\n",
            "concat joins it with others, and not only convolutions read that",
        ),
    ],
)
def test_case_5_what_stays_says_why(lines: str, why: str) -> None:
    _, changes = folded(lines)
    assert [change.why for change in changes] == [why]


@pytest.mark.parametrize("preset", ["paper", "released-yolov5"])
def test_no_space_to_depth_is_left_of_yolov5_spd(preset: str) -> None:
    _, report = spdbuild.convert(spdbuild.load("yolov5", variant="n"), preset)
    graph, changes = run_passes(report.after, [FoldSpd()])
    left = {node.op.name for node in graph} & {"space_to_depth", "spd_conv2d", "spd_max_pool"}
    assert not left
    assert not any(change.left for change in changes)


def test_no_space_to_depth_is_left_of_the_released_resnet50() -> None:
    _, report = spdbuild.convert(spdbuild.load("resnet50"), "released-resnet")
    graph, _ = run_passes(report.after, [FoldSpd(into_producers=True)])
    assert "space_to_depth" not in {node.op.name for node in graph}


def test_case_5_a_concat_that_reads_it_twice_stays() -> None:
    graph, changes = folded("  - fine: space_to_depth()\n  - concat() <- fine, fine\n  - conv: conv2d(4)\n")
    assert "space_to_depth" in {node.op.name for node in graph}
    assert [change.left for change in changes] == [True]

"""The cases of the pass, numbered as in its documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

import spdbuild
from spdbuild.errors import ArgumentError, PassError
from spdbuild.graph import Graph
from spdbuild.ops.op import OPS, Op
from spdbuild.passes import Change, run_passes
from spdbuild.passes.strided_to_spd import StridedToSpd
from spdbuild.shape import Shape

from .layers import ops


def converted(lines: str, **options: Any) -> tuple[Graph, list[Change]]:
    text = "model: m\ninputs: {image: [3, 16, 16]}\nlayers:\n" + lines
    return run_passes(spdbuild.load(text).graph, [StridedToSpd(**options)])


CONV = "  - conv: conv2d(8, 3, stride=2)\n  - norm: batch_norm()\n  - silu()\n  - next: conv2d(4)\n"


def test_case_1_before_changes_only_the_op() -> None:
    graph, _ = converted(CONV)
    assert ops(graph) == [
        "conv spd_conv2d(8, kernel=3, stride=2)",
        "norm batch_norm()",
        "silu silu()",
        "next conv2d(4)",
    ]
    assert graph["conv"].shape == (8, 8, 8)


def test_case_2_after_conv_puts_space_to_depth_before_the_norm() -> None:
    graph, changes = converted(CONV, placement="after", after="conv")
    assert ops(graph)[:3] == ["conv conv2d(8, kernel=3)", "conv_to_depth space_to_depth()", "norm batch_norm()"]
    assert graph["norm"].shape == (32, 8, 8)
    assert changes[0].inserted == ("conv_to_depth",)


def test_case_2_after_act_puts_space_to_depth_behind_norm_and_activation() -> None:
    graph, _ = converted(CONV, placement="after")
    assert ops(graph)[1:4] == ["norm batch_norm()", "silu silu()", "conv_to_depth space_to_depth()"]
    assert graph["next"].input_shapes == ((32, 8, 8),)


def test_case_2_an_output_that_is_added_to_another_is_placed_before() -> None:
    lines = "  - one: conv2d(8, 3, stride=2)\n  - two: conv2d(8, 1, stride=2) <- image\n  - add() <- one, two\n"
    graph, changes = converted(lines, placement="after")
    assert graph["one"].op.name == graph["two"].op.name == "spd_conv2d"
    assert {change.why for change in changes} == {"placed before: the layers that read it cannot take more channels"}


def test_case_2_odd_sizes_keep_the_size_of_the_strided_output() -> None:
    text = "model: m\ninputs: {image: [3, 15, 13]}\nlayers:\n" + CONV
    graph, _ = run_passes(spdbuild.load(text).graph, [StridedToSpd(placement="after")])
    assert graph["next"].shape == (4, 8, 7)


def test_a_norm_with_two_readers_is_not_crossed() -> None:
    lines = CONV + "  - other: conv2d(4) <- norm\n  - concat() <- next, other\n"
    graph, _ = converted(lines, placement="after")
    assert "conv_to_depth" in graph
    assert [str(output) for output in graph["conv_to_depth"].inputs] == ["norm"]


def test_case_3_avg_pool_becomes_an_exact_convolution() -> None:
    graph, changes = converted("  - shrink: avg_pool(2, stride=2)\n")
    assert ops(graph) == ["shrink spd_avg_pool(2, stride=2)"]
    assert changes[0].exact
    assert graph["shrink"].parameters == 3 * 12


def test_case_4_max_pool_becomes_a_convolution_that_is_not_exact() -> None:
    graph, changes = converted("  - max_pool(3, stride=2)\n")
    assert ops(graph) == ["max_pool spd_max_pool(3, stride=2)"]
    assert not changes[0].exact


def test_case_5_what_keep_names_stays_with_its_reason() -> None:
    graph, changes = converted(CONV, keep=("conv",))
    assert graph["conv"].op.name == "conv2d"
    assert [(change.name, change.left, change.why) for change in changes] == [("conv", True, "named in keep")]


def test_case_5_only_changes_nothing_else() -> None:
    lines = "  - one: conv2d(8, 3, stride=2)\n  - two: conv2d(8, 3, stride=2)\n"
    graph, changes = converted(lines, only=("two",))
    assert [node.op.name for node in graph.layers] == ["conv2d", "spd_conv2d"]
    assert [change.why for change in changes] == ["not named in only", ""]


def test_pools_stay_on_request() -> None:
    _, changes = converted("  - max_pool(3, stride=2)\n", pool="keep")
    assert [change.why for change in changes] == ["pool=keep"]


def test_before_overrides_the_placement_of_some_layers() -> None:
    lines = "  - one: conv2d(8, 6, stride=2)\n  - two: conv2d(8, 3, stride=2)\n  - three: conv2d(8)\n"
    graph, _ = converted(lines, placement="after", before=("one",))
    assert ops(graph)[:3] == [
        "one spd_conv2d(8, kernel=6, stride=2)",
        "two conv2d(8, kernel=3)",
        "two_to_depth space_to_depth()",
    ]


@pytest.mark.parametrize(
    ("kernel", "parameters"), [("exact", 12 * 8 * 4), ("same", 12 * 8 * 9), (1, 12 * 8), (5, 12 * 8 * 25)]
)
def test_the_kernel_option_sets_the_size_of_the_new_kernel(kernel: Any, parameters: int) -> None:
    graph, _ = converted("  - conv: conv2d(8, 3, stride=2)\n", kernel=kernel)
    assert graph["conv"].parameters == parameters


def test_kernels_of_some_layers_win_over_the_kernel_of_all() -> None:
    lines = "  - one: conv2d(8, 3, stride=2)\n  - two: conv2d(8, 3, stride=2)\n  - three: conv2d(8, 3, stride=2)\n"
    graph, changes = converted(lines, kernel="same", kernels=("t*=1", "three = exact"))
    assert [node.op.spd_kernel for node in graph.layers] == ["same", 1, "exact"]
    assert [change.exact for change in changes] == [True, False, True]


@pytest.mark.parametrize("entry", ["conv", "conv=", "=1", "conv=0", "conv=-1", "conv=1.5", "conv=exakt"])
def test_an_entry_of_kernels_that_is_no_pattern_and_kernel_is_refused(entry: str) -> None:
    with pytest.raises(ArgumentError, match=f"kernels must be entries such as 'down2=1', got '{entry}'"):
        StridedToSpd(kernels=(entry,))


def test_a_pattern_of_kernels_without_a_match_suggests_the_nearest_layer() -> None:
    with pytest.raises(PassError, match="kernels: no layer of m is called 'cnov'") as caught:
        converted(CONV, kernels=("cnov=1",))
    assert caught.value.problems[0].hint == "did you mean 'conv'?"


def test_a_kernel_of_one_is_reported_as_not_exact() -> None:
    _, changes = converted("  - conv: conv2d(8, 3, stride=2)\n", kernel=1)
    assert not changes[0].exact


def test_strict_lists_what_is_left() -> None:
    with pytest.raises(PassError, match=r"strict: 1 strided layers are left: conv \(named in keep\)"):
        converted(CONV, keep=("conv",), strict=True)


def test_strict_lists_ops_of_others_that_halve_images(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Blur(Op):
        name: ClassVar[str] = "blur"
        step: int = 2

        def shape(self, x: Shape) -> Shape:
            return Shape(x.channels, -(-x.height // self.step), -(-x.width // self.step))

    monkeypatch.setattr(OPS, "_classes", {**dict(OPS.items()), "blur": Blur})
    graph, changes = converted(f"{CONV}  - blur()\n")
    assert [change.name for change in changes] == ["conv", "blur"]
    assert "blur blur()" in ops(graph)
    with pytest.raises(
        PassError, match=r"strict: 1 strided layers are left: blur \(it halves images, and nothing more"
    ):
        converted(f"{CONV}  - blur()\n", strict=True)
    converted(f"{CONV}  - blur(1)\n  - blur(16)\n", strict=True)


def test_a_pattern_without_a_match_suggests_the_nearest_layer() -> None:
    with pytest.raises(PassError) as caught:
        converted(CONV, keep=("convv",))
    assert caught.value.problems[0].hint == "did you mean 'conv'?"


def test_a_kernel_below_one_is_refused() -> None:
    with pytest.raises(ArgumentError, match="kernel must be between 1 and 1000000, got 0"):
        StridedToSpd(kernel=0)


@pytest.mark.parametrize(
    ("variant", "parameters", "macs"),
    [
        ("n", 2_256_157, 4_396_748_800),
        ("s", 8_771_389, 16_867_532_800),
        ("m", 24_646_557, 43_900_416_000),
        ("l", 52_707_709, 89_099_878_400),
    ],
)
def test_the_released_preset_gives_the_published_yolov5_spd(variant: str, parameters: int, macs: int) -> None:
    """Numbers of the released networks, counted on the released code."""
    converted, report = spdbuild.convert(spdbuild.load("yolov5", variant=variant), "released-yolov5", strict=True)
    assert (converted.graph.parameters, converted.graph.macs) == (parameters, macs)
    assert not report.overlay


def test_released_resnet_counts_as_by_hand() -> None:
    """25,557,032 + the sum of 12 w^2 + 6 w over the widths 128, 256, 512."""
    converted, _ = spdbuild.convert(spdbuild.load("resnet50"), "released-resnet")
    assert converted.graph.parameters == 29_691_176


def test_the_exact_conversion_of_resnet50_costs_what_is_known() -> None:
    """5.371 GMACs, counted independently for the exact conversion at 224 pixels."""
    converted, _ = spdbuild.convert(spdbuild.load("resnet50"))
    assert round(converted.graph.macs / 1e9, 3) == 5.371


def test_a_pattern_of_a_preset_that_names_no_layer_is_told_as_the_presets() -> None:
    with pytest.raises(PassError, match="keep: no layer of mobilenet_v2 is called") as caught:
        spdbuild.convert("mobilenet_v2", preset="released-resnet")
    assert caught.value.problems[0].hint.startswith("if it is from the preset released-resnet, give keep yourself")
    spdbuild.convert("mobilenet_v2", preset="released-resnet", keep=())

"""Receptive fields against the pixels that really have a gradient."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

import spdbuild
from spdbuild.analysis.receptive import Field, receptive_fields
from spdbuild.graph import Graph


def graph_of(lines: str, size: str = "2, 33, 29") -> Graph:
    return spdbuild.load(f"model: m\ninputs: {{image: [{size}]}}\nlayers:\n{lines}").graph


def support(graph: Graph, place: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """First row and the one behind the last, and columns alike, whose pixels the output at `place` depends on."""
    torch.manual_seed(0)
    model = spdbuild.build(graph).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    image = torch.randn(1, *graph.inputs[0].shape, dtype=torch.float64, requires_grad=True)
    model(image)[0, :, place[0], place[1]].square().sum().backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0) > 0
    rows, columns = seen.any(1).nonzero().flatten().tolist(), seen.any(0).nonzero().flatten().tolist()
    return (rows[0], rows[-1] + 1), (columns[0], columns[-1] + 1)


NETWORKS = {
    "one convolution": "  - a: conv2d(3, 3)\n",
    "strided": "  - a: conv2d(3, 3, stride=2)\n  - b: conv2d(3, [5, 1], stride=[1, 2])\n",
    "uneven padding": "  - a: conv2d(3, 4, stride=2, padding=[[3, 0], [1, 2]])\n",
    "norm and activation": "  - a: conv2d(3, 3)\n  - norm: batch_norm()\n  - tanh()\n  - b: conv2d(2, 3)\n",
    "norm over the whole image": "  - a: conv2d(4, 3)\n  - norm: group_norm(2)\n",
    "average pool": "  - a: conv2d(3, 3)\n  - avg_pool(3, stride=2)\n",
    "spd_conv2d": "  - a: spd_conv2d(3, 3, stride=2)\n  - b: spd_conv2d(3, 5, stride=3)\n",
    "spd_avg_pool": "  - a: conv2d(3, 3)\n  - pool: spd_avg_pool(4, stride=2)\n",
    "space_to_depth": "  - a: conv2d(3, 3)\n  - space_to_depth()\n  - b: conv2d(4, 3)\n",
    "two paths": "  - a: conv2d(3, 5)\n  - b: conv2d(3, 3) <- image\n  - c: add() <- a, b\n",
    "spatial gate": "  - a: conv2d(2, 3)\n  - s: conv2d(2, 7)\n  - g: sigmoid()\n  - mul() <- a, g\n",
    "concat": "  - a: conv2d(3, 5, stride=2)\n  - b: conv2d(3, 1, stride=2) <- image\n  - concat() <- a, b\n",
}


@pytest.mark.parametrize("place", [(0, 0), (2, 2), (3, 1)], ids=str)
@pytest.mark.parametrize("lines", NETWORKS.values(), ids=list(NETWORKS))
def test_the_field_is_what_has_a_gradient(lines: str, place: tuple[int, int]) -> None:
    graph = graph_of(lines)
    fields = receptive_fields(graph)[graph.names[-1]]
    for field, i, seen, size in zip(fields, place, support(graph, place), graph.inputs[0].shape[1:], strict=True):
        start = field.start + field.stride * i
        assert seen == (max(start, 0), min(start + field.size, size))


@pytest.mark.parametrize("place", [(4, 4), (5, 6), (7, 3)], ids=str)
@pytest.mark.parametrize(
    "line",
    ["upsample(2)", 'upsample(3, mode="bilinear")', "depth_to_space(2)", "max_pool(3)", "adaptive_avg_pool(9)"]
    + ["up: conv_transpose2d(2, 2, stride=2)", "up: conv_transpose2d(2, 4, stride=2, padding=1, dilation=1)"],
)
def test_where_neighbours_see_differently_the_field_holds_all_of_them(line: str, place: tuple[int, int]) -> None:
    graph = graph_of(f"  - a: conv2d(4, 3, stride=2)\n  - {line}\n")
    fields = receptive_fields(graph)[graph.names[-1]]
    for field, i, seen in zip(fields, place, support(graph, place), strict=True):
        start = field.start + field.stride * i
        assert start <= seen[0]
        assert seen[1] <= start + field.size
        assert field.size <= seen[1] - seen[0] + 6


def test_a_global_pool_sees_the_whole_image() -> None:
    fields = receptive_fields(graph_of("  - a: conv2d(4, 3)\n  - global_avg_pool()\n  - head: linear(3)\n"))
    assert fields["head"] == (
        Field(Fraction(0), Fraction(33), Fraction(0)),
        Field(Fraction(0), Fraction(29), Fraction(0)),
    )


def test_what_joins_paths_of_other_strides_sees_the_whole_image() -> None:
    lines = "  - wide: adaptive_avg_pool(4) <- image\n  - conv: conv2d(3, 3, stride=2, padding=0) <- image\n"
    fields = receptive_fields(graph_of(f"{lines}  - both: add() <- conv, wide\n", size="3, 9, 9"))
    assert fields["both"] == (Field(Fraction(0), Fraction(9), Fraction(0)),) * 2


def test_a_gate_from_a_pooled_vector_is_not_counted() -> None:
    lines = "  - a: conv2d(4, 3)\n  - global_avg_pool(keep_size=true)\n  - gate: conv2d(4)\n  - g: mul() <- a, gate\n"
    assert receptive_fields(graph_of(lines))["g"][0] == Field(Fraction(-1), Fraction(3), Fraction(1))


@pytest.mark.parametrize("inputs", ["a, gate", "gate, a"])
def test_a_gate_is_not_counted_where_the_image_has_one_pixel_too(inputs: str) -> None:
    lines = "  - a: conv2d(4, 3, stride=4)\n  - global_avg_pool(keep_size=true)\n  - gate: conv2d(4)\n"
    fields = receptive_fields(graph_of(f"{lines}  - g: mul() <- {inputs}\n", size="2, 4, 4"))
    assert fields["g"][0] == Field(Fraction(-1), Fraction(3), Fraction(4))


def test_resnet18_sees_what_one_adds_up_by_hand() -> None:
    """7 of the stem, 4 of the pool, and of 3x3 kernels 4*8, 8 + 3*16, 16 + 3*32, 32 + 3*64: 435 pixels, stride 32."""
    fields = receptive_fields(spdbuild.load("resnet18").graph)
    behind_the_blocks = fields["global_avg_pool"], fields["stage4.rest.0.add"]
    assert behind_the_blocks[1][0].size == 7 + 4 + 4 * 8 + 8 + 3 * 16 + 16 + 3 * 32 + 32 + 3 * 64
    assert behind_the_blocks[1][0].stride == 32
    assert behind_the_blocks[0][0].size == 224


def test_a_dilated_convolution_sees_from_its_first_tap_to_its_last() -> None:
    graph = graph_of("  - a: conv2d(3, 3, dilation=3)\n")
    assert support(graph, (10, 12)) == ((7, 14), (9, 16))
    assert receptive_fields(graph)["a"][0] == Field(Fraction(-3), Fraction(7), Fraction(1))

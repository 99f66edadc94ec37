"""Layer by layer, the published networks have the layers, sizes and settings of those that were released."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import spdbuild
from spdbuild.graph import Graph, Node
from spdbuild.loading import Architecture
from spdbuild.ops.activation import Relu, Silu
from spdbuild.ops.convolution import Conv2d
from spdbuild.ops.dense import Linear
from spdbuild.ops.detection import Detect
from spdbuild.ops.merging import Add, Concat
from spdbuild.ops.normalization import BatchNorm
from spdbuild.ops.pooling import GlobalAvgPool, MaxPool
from spdbuild.ops.resampling import SpaceToDepth, Upsample
from spdbuild.ops.spd import SpdConv2d
from spdbuild.weights.rename import compile_rules, rename

#: Architecture and variant of each table.
TABLES = {
    "yolov5_spd_n": ("yolov5_spd", "n"),
    "yolov5_spd_s": ("yolov5_spd", "s"),
    "yolov5_spd_m": ("yolov5_spd", "m"),
    "yolov5_spd_l": ("yolov5_spd", "l"),
    "resnet18_spd_tiny_imagenet": ("resnet18_spd_tiny_imagenet_released", None),
    "resnet50_spd_cifar10": ("resnet50_spd_cifar10", None),
}


class Row(NamedTuple):
    """A layer as the tables have it: module, channels before and after, settings, and sides of the squares."""

    module: str
    before: str
    after: str
    settings: str
    sides: str


@pytest.fixture
def layers(golden: Path) -> Path:
    """The folder of the released networks' layer tables, beside the golden files."""
    folder = golden.parent / "reference" / "layers"
    if not folder.is_dir():
        pytest.skip("no layer tables: they lie in reference/layers beside the golden files")
    return folder


@pytest.mark.parametrize("table", TABLES)
def test_every_layer_is_the_released_one(layers: Path, table: str) -> None:
    name, variant = TABLES[table]
    architecture = spdbuild.load(name, variant=variant)
    published = list(read(layers / f"{table}.md"))
    ours = list(rows(architecture))
    assert [row for _, row in ours] == [row for _, row in published]
    weighted = ("Conv2d", "BatchNorm2d", "Linear")
    theirs = [(name, row.module) for name, row in published if row.module in weighted]
    rules = compile_rules(architecture.renames["spd_conv"])
    named = [rename(f"{name}.weight", rules) for name, row in ours if row.module in weighted]
    assert named == [f"{name}.weight" for name, _ in theirs]


def read(table: Path) -> Iterator[tuple[str, Row]]:
    """Name and row of each layer."""
    for line in table.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].isdecimal():
            yield cells[1], Row(*cells[2:])


def rows(architecture: Architecture) -> Iterator[tuple[str, Row]]:
    """The same of our graph, without what is a function in the released code."""
    graph = architecture.graph
    for node in graph.layers:
        if not is_function(graph, node):
            yield from rows_of(node)


def is_function(graph: Graph, node: Node) -> bool:
    """Additions and the relu behind them, concatenations within blocks, and space_to_depth in front of the stem."""
    (first, *_) = (output.node for output in node.inputs)
    within_block = isinstance(node.op, Concat) and node.container != "neck"
    behind_addition = isinstance(node.op, Relu) and isinstance(graph[first].op, Add)
    is_stem = isinstance(node.op, SpaceToDepth) and first in {image.name for image in graph.inputs}
    return isinstance(node.op, Add) or within_block or behind_addition or is_stem


def rows_of(node: Node) -> Iterator[tuple[str, Row]]:
    op, given = node.op, node.input_shapes
    if isinstance(op, Detect):
        for level, shape in enumerate(given):
            settings = "k1 s1 p0 g1 bias=True"
            yield f"{node.name}.levels.{level}", Row("Conv2d", str(shape.channels), "255", settings, str(shape.height))
        return
    channels, after = given[0].channels, node.shape.channels
    before = "+".join(str(shape.channels) for shape in given)
    sizes = [shape.height for shape in (given[0], node.shape) if len(shape) == 3]
    sides = "->".join(map(str, dict.fromkeys(sizes)))
    module, settings = "", ""
    match op:
        case SpdConv2d():
            # Its space_to_depth is a function, too.
            blocks = op.blocks()[0]
            module, settings = "Conv2d", f"k{blocks.kernel} s1 p{blocks.before} g{op.groups} bias={op.bias}"
            before, sides = str(channels * 4), str(node.shape.height)
        case Conv2d():
            padding = op.windows()[0].before
            module = "Conv2d"
            settings = f"k{op.kernel} s{op.stride} p{padding} g{op.groups} bias={op.bias}"
        case BatchNorm():
            module, settings = "BatchNorm2d", f"eps={op.epsilon:g} mom={op.momentum:g}"
        case MaxPool():
            module, settings = "MaxPool2d", f"k{op.kernel} s{op.stride} p{op.windows()[0].before}"
        case Upsample():
            module, settings = "Upsample", f"x{op.factor}.0 {op.mode}"
        case Linear():
            module, settings, sides = "Linear", f"bias={op.bias}", "-"
        case GlobalAvgPool():
            module, sides = "AdaptiveAvgPool2d", f"{given[0].height}->1"
        case _:
            module = {Silu: "SiLU", Relu: "ReLU", SpaceToDepth: "SPD", Concat: "Concat"}[type(op)]
    yield node.name, Row(module, before, str(after), settings, sides)


@pytest.mark.parametrize("name", ["yolov5", "yolov5_spd"])
@pytest.mark.parametrize("variant", ["n", "s", "m", "l", "x"])
def test_the_norms_of_every_yolo_have_the_published_constants(name: str, variant: str) -> None:
    """REFERENCE.md 1.6; one norm behind each convolution but the three of the head."""
    norms = [node.op for node in spdbuild.load(name, variant=variant).graph if isinstance(node.op, BatchNorm)]
    assert len(norms) == {"n": 57, "s": 57, "m": 79, "l": 101, "x": 123}[variant]
    assert {(norm.epsilon, norm.momentum, norm.affine) for norm in norms} == {(1e-3, 0.03, True)}


#: Parameters and GFLOPs in M and G to two and one decimals, section 3.4, for placement "pre" with 3x3.
PAPER = {"n": (3.60, 8.0), "s": (14.15, 30.6), "m": (36.74, 80.7), "l": (74.21, 165.6)}


@pytest.mark.parametrize(("variant", "published"), PAPER.items())
def test_the_preset_paper_costs_what_the_papers_wording_costs(variant: str, published: tuple[float, float]) -> None:
    """Space-to-depth and 3x3 convolutions, the stem among them, which is a 6x6 convolution of stride 2."""
    graph = spdbuild.convert(spdbuild.load("yolov5", variant=variant), "paper")[0].graph
    assert (round(graph.parameters / 1e6, 2), round(2 * graph.macs / 1e9, 1)) == published

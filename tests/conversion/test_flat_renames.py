"""Rename tables of a folded network, whose layers have flat names."""

from __future__ import annotations

from typing import Any

import pytest

import spdbuild
from spdbuild.conversion.flat_renames import flat_tables
from spdbuild.modules import compile_graph
from spdbuild.weights.rename import compile_rules, rename

LAYERS = """\
model: m
inputs: {image: [3, 16, 16]}
stem:
  - first: spd_conv2d(4, 3, stride=2)
  - norm: batch_norm()
layers:
  - conv1: conv2d(4)
  - fc: conv2d(4)
  - global_avg_pool()
  - head: linear(5)
"""


@pytest.mark.parametrize(
    ("table", "flat"),
    [
        ({"conv1": "layer", "fc": "conv1", "head": "fc"}, {"conv1": "layer", "fc": "conv1", "head": "fc"}),
        (
            {"stem.{x}": "features.{x}", "norm.weight": "norm.gamma"},
            {"stem_first": "features.first", "stem_norm.weight": "features.norm.gamma", "stem_norm": "features.norm"},
        ),
        ({"space_to_depth": "row_column_channel"}, {"space_to_depth": "row_column_channel"}),
    ],
    ids=["one name leads to another", "a part of a layer", "an order"],
)
def test_lines_lead_from_the_flat_names_to_the_same_ones(table: dict[str, str], flat: dict[str, str]) -> None:
    graph = spdbuild.load(LAYERS).graph
    found = flat_tables({"theirs": table}, graph, graph)["theirs"]
    assert {ours: found[ours] for ours in flat} == flat
    before, after = compile_rules(table), compile_rules(found)
    for name in compile_graph(graph, "meta").state_dict():
        section, _, rest = name.partition(".")
        ours = f"stem_{rest}" if section == "stem" else name
        assert rename(ours, after) == rename(name, before)


def test_a_table_that_swaps_names_is_left_out() -> None:
    graph = spdbuild.load(LAYERS).graph
    assert flat_tables({"swapped": {"conv1": "x", "fc": "conv1", "x": "fc"}}, graph, graph) == {}


@pytest.mark.parametrize(("name", "options"), [("yolov5_spd", {"variant": "n"}), ("resnet50_spd_cifar10", {})])
@pytest.mark.parametrize("fuse", [False, True])
def test_released_names_stay_known(name: str, options: dict[str, Any], fuse: bool) -> None:
    architecture = spdbuild.load(name, **options)
    folding = spdbuild.fold(architecture, fuse=fuse)
    read = spdbuild.load(folding.text())
    assert read.renames.keys() == architecture.renames.keys()
    kept = {node.name for node in architecture.graph}
    names = [n for n in compile_graph(folding.graph, "meta").state_dict() if n.rpartition(".")[0] in kept]
    for table, lines in architecture.renames.items():
        before, after = compile_rules(lines), compile_rules(read.renames[table])
        for old in names:
            layer, _, tensor = old.rpartition(".")
            assert rename(f"{layer.replace('.', '_')}.{tensor}", after) == rename(old, before)

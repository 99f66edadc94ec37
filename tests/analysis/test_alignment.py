"""Two networks side by side."""

from __future__ import annotations

import json

from click.testing import CliRunner

import spdbuild
from spdbuild.analysis.alignment import align
from spdbuild.cli import spdbuild as spdbuild_command
from spdbuild.graph import Graph
from spdbuild.graph.text import graph_text


def graph(*lines: str) -> Graph:
    listed = "".join(f"  - {line}\n" for line in lines)
    return spdbuild.load(f"model: m\ninputs: {{image: [4, 8, 8]}}\nlayers:\n{listed}").graph


def told(before: Graph, after: Graph) -> list[tuple[str, str, tuple[str, ...]]]:
    """Names before and after, and what changed, of the pairs that are not equal."""
    pairs = [pair for pair in align(before, after) if not pair.equal]
    return [(p.before.name if p.before else "", p.after.name if p.after else "", p.changed) for p in pairs]


def test_a_network_is_equal_to_itself():
    assert told(graph("relu()", "silu()"), graph("relu()", "silu()")) == []


def test_another_op_of_the_same_name_is_a_change():
    before, after = graph("a: conv2d(4)", "b: conv2d(4)"), graph("a: conv2d(8)", "b: conv2d(4)")
    assert told(before, after) == [("a", "a", ("op", "shape"))]


def test_a_renamed_layer_is_no_change_for_those_that_read_it():
    before, after = graph("a: conv2d(4)", "b: conv2d(8)"), graph("c: conv2d(4)", "b: conv2d(8)")
    assert told(before, after) == [("a", "c", ("name",))]


def test_a_layer_that_is_gone_stands_in_front_of_the_next():
    before, after = graph("a: conv2d(4)", "relu()", "b: conv2d(8)"), graph("a: conv2d(4)", "b: conv2d(8)")
    assert told(before, after) == [("relu", "", ()), ("b", "b", ("inputs",))]


def test_a_layer_that_is_gone_at_the_end_comes_last():
    assert told(graph("a: relu()", "tanh()"), graph("a: relu()")) == [("tanh", "", ())]


def test_an_inserted_layer_is_a_pair_without_a_before():
    before, after = graph("a: relu()", "b: tanh()"), graph("a: relu()", "new: silu()", "b: tanh()")
    assert told(before, after) == [("", "new", ()), ("b", "b", ("inputs",))]


def test_every_layer_is_in_exactly_one_pair():
    before = spdbuild.load("resnet18").graph
    after = spdbuild.load("resnet34").graph
    pairs = align(before, after)
    assert sorted(pair.before.name for pair in pairs if pair.before) == sorted(before.names)
    assert [pair.after.name for pair in pairs if pair.after] == after.names


def test_the_flat_form_differs_in_names_alone():
    before = spdbuild.load("resnet18").graph
    after = spdbuild.load(graph_text(before)).graph
    pairs = align(before, after)
    assert {change for pair in pairs for change in pair.changed} == {"name"}
    assert all(pair.before and pair.after for pair in pairs)


def test_a_pair_is_told_in_a_line():
    before, after = graph("a: relu()", "b: tanh()", "old: sigmoid()"), graph("a: relu()", "b: silu()", "new: elu()")
    assert [repr(pair) for pair in align(before, after)][1:] == [
        "Pair(a: relu(); equal)",
        "Pair(b: tanh() -> silu(); changed: op)",
        "Pair(new: elu(); new)",
        "Pair(old: sigmoid(); gone)",
    ]


def test_a_pair_as_data_is_the_entry_of_the_command():
    before, after = graph("a: conv2d(4)", "relu()"), graph("a: conv2d(8)", "b: relu()")
    command = CliRunner().invoke(spdbuild_command, ["diff", graph_text(before), graph_text(after), "--json"])
    assert [pair.to_dict() for pair in align(before, after) if not pair.equal] == json.loads(command.stdout)["layers"]
    assert [pair.to_dict()["changed"] for pair in align(before, after)] == [[], ["op", "shape"], ["name", "shape"]]

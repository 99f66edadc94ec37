"""Insert, replace, remove; shapes that stay up to date; and the flat text."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

import spdbuild
from spdbuild import builtin
from spdbuild.errors import InputError, ShapeError, UnknownNameError
from spdbuild.graph import Graph, Output
from spdbuild.graph.text import graph_text
from spdbuild.ops import OPS

TEXT = """model: m
inputs: {image: [3, 16, 16]}
layers:
  - stem: conv2d(8, 3)
  - side: conv2d(8)
  - add() <- stem, side
"""


@pytest.fixture
def graph() -> Graph:
    return spdbuild.load(TEXT).graph


def test_inserting_moves_all_readers(graph: Graph) -> None:
    graph.insert_after("stem", "act", OPS["relu"](), inserted_by="the test")
    assert graph.names == ["image", "stem", "act", "side", "add"]
    assert graph["side"].inputs == (Output("act"),)
    assert graph["add"].inputs == (Output("act"), Output("side"))
    assert graph["act"].origin.inserted_by == "the test"


def test_inserting_behind_an_output_makes_it_the_output(graph: Graph) -> None:
    graph.insert_after("add", "act", OPS["relu"](), inserted_by="the test")
    assert graph.outputs == (Output("act"),)


def test_a_name_is_given_once(graph: Graph) -> None:
    for add in (
        lambda: graph.add("side", OPS["relu"](), ["stem"]),
        lambda: graph.insert_after("stem", "side", OPS["relu"](), ""),
    ):
        with pytest.raises(InputError, match="two layers are called 'side'"):
            add()


def test_replacing_an_op_infers_the_shapes_behind_it(graph: Graph) -> None:
    graph.replace_op("stem", OPS["conv2d"](8, 3, 2))
    assert graph["add"].shape == (8, 8, 8)


def test_removing_gives_readers_the_first_input(graph: Graph) -> None:
    graph.remove("side")
    assert graph["add"].inputs == (Output("stem"), Output("stem"))


def test_a_misfit_undoes_all_changes(graph: Graph) -> None:
    before = list(graph)
    with pytest.raises(ShapeError), graph.changes():
        graph.replace_op("side", OPS["conv2d"](5))
    assert list(graph) == before


def narrow(graph: Graph) -> None:
    with graph.changes():
        graph.replace_op("stem", OPS["conv2d"](4))
        graph.replace_op("side", OPS["conv2d"](4))


def test_changes_may_not_change_the_output(graph: Graph) -> None:
    with pytest.raises(ShapeError, match="outputs of the network"):
        narrow(graph)


def test_an_unknown_node_suggests_the_nearest(graph: Graph) -> None:
    with pytest.raises(UnknownNameError) as caught:
        graph["stemm"]
    assert caught.value.problems[0].hint == "did you mean 'stem'?"


def test_a_misfit_names_the_inputs_and_the_place(graph: Graph) -> None:
    with pytest.raises(ShapeError) as caught:
        graph.replace_op("side", OPS["conv2d"](5))
    problem = caught.value.problems[0]
    assert problem.message == "add: inputs must have the same shape, got 8x16x16 and 5x16x16"
    assert problem.hint == "inputs: stem 8x16x16, side 5x16x16"
    assert str(problem.location) == "<text>:6:5"


def test_other_input_shapes_leave_the_graph_itself(graph: Graph) -> None:
    from spdbuild.shape import Shape

    assert graph.with_inputs([Shape(3, 9, 7)])["add"].shape == (8, 9, 7)
    assert graph["add"].shape == (8, 16, 16)


@pytest.mark.parametrize("path", builtin.listed("architectures").values(), ids=lambda path: path.stem)
def test_the_flat_text_gives_the_same_network(path: Path) -> None:
    from spdbuild.loading import Architecture, read_document
    from spdbuild.text.source import read_source

    document = read_document(read_source(path))
    graph = Architecture(document, next(iter(document.variants), None)).graph
    text = graph_text(graph)
    again = spdbuild.load(text).graph
    assert [str(node.op) for node in again] == [str(node.op) for node in graph]
    assert [node.shapes for node in again] == [node.shapes for node in graph]
    assert graph_text(again) == text


def test_an_output_that_a_layer_does_not_have_is_refused(graph: Graph) -> None:
    with pytest.raises(ShapeError, match="'stem' has 1 outputs, so there is no 'stem"):
        graph.add("act", OPS["relu"](), [Output("stem", 1)])


def test_a_misfit_undoes_changes_of_the_outputs_too(graph: Graph) -> None:
    before = graph.copy()
    with pytest.raises(ShapeError, match="outputs of the network"), graph.changes():
        graph.insert_after("add", "wider", OPS["conv2d"](9), inserted_by="the test")
    assert graph == before
    assert graph.outputs == before.outputs


def test_a_copy_is_changed_alone() -> None:
    original = spdbuild.load(TEXT).graph
    for changed in (original.copy(), copy.copy(original), copy.deepcopy(original)):
        assert changed == original
        changed.remove("side")
        assert "side" in original
        assert "side" not in changed


def test_an_architecture_keeps_its_graph_whatever_is_done_to_what_it_gave() -> None:
    architecture = spdbuild.load(TEXT)
    before = spdbuild.summary(architecture).parameters
    architecture.graph.replace_op("stem", OPS["conv2d"](8, 5))
    architecture.graph.remove("side")
    assert spdbuild.summary(architecture).parameters == before
    assert architecture.graph.names == ["image", "stem", "side", "add"]


def test_a_graph_is_shown_in_a_few_words(graph: Graph) -> None:
    assert repr(graph) == "Graph(m: 4 nodes, inputs image 3x16x16)"
    assert repr(Graph()) == "Graph(model: 0 nodes, inputs none)"

"""What holds for every registered pass, run over networks that hold something for each."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import spdbuild
from spdbuild.graph import Graph
from spdbuild.ops.activation import Identity
from spdbuild.passes import PASSES, GraphPass, run_passes

NETWORK = """
model: small
inputs: {image: [3, 24, 32]}
blocks:
  conv_norm(out, kernel=1, stride=1):
    - conv: conv2d(out, kernel, stride)
    - norm: batch_norm()
layers:
  - sharpen: spd_conv2d(6, 3, stride=2)
  - stem: conv_norm(8, 3, stride=2)
  - relu()
  - pool: max_pool(3, stride=2)
  - deep: conv_norm(16, 3, stride=2)
  - silu()
  - dropout(0.1)
  - shrink: avg_pool(2, stride=2)
  - mix: conv_norm(8)
  - global_avg_pool()
  - head: linear(4)
"""
PASS_NAMES = list(PASSES)


@pytest.fixture
def graph() -> Graph:
    graph = spdbuild.load(NETWORK).graph
    # A line `identity()` is left out when the text is read, so a graph holds one only where a program put it.
    graph.insert_after("stem.norm", "nothing", Identity(), inserted_by="the test")
    return graph


def test_the_passes_are_found() -> None:
    assert {"fold_spd", "fuse_conv_norm", "remove_identity", "strided_to_spd"} <= set(PASS_NAMES)


@pytest.fixture(params=PASS_NAMES)
def step(request: pytest.FixtureRequest) -> GraphPass:
    return PASSES[request.param]()


def test_a_pass_changes_the_network_and_leaves_a_valid_graph(graph: Graph, step: GraphPass) -> None:
    changed, changes = run_passes(graph, [step])
    assert any(not change.left for change in changes)
    assert changed != graph
    again = changed.copy()
    again.infer_shapes()
    assert again == changed


def test_the_graph_that_was_given_is_not_touched(graph: Graph, step: GraphPass) -> None:
    before = list(graph)
    run_passes(graph, [step])
    assert list(graph) == before


def test_a_second_run_changes_nothing(graph: Graph, step: GraphPass) -> None:
    once, _ = run_passes(graph, [step])
    twice, changes = run_passes(once, [step])
    assert twice == once
    assert all(change.left for change in changes)


def test_names_that_are_not_reported_stay(graph: Graph, step: GraphPass) -> None:
    changed, changes = run_passes(graph, [step])
    touched = {name for change in changes for name in (change.name, change.anchor, *change.inserted)}
    assert {name for name in graph.names if name not in touched} <= set(changed.names)
    assert set(changed.names) - set(graph.names) <= touched


def test_outputs_keep_their_shape(graph: Graph, step: GraphPass) -> None:
    changed, _ = run_passes(graph, [step])
    assert [changed.shape_of(o) for o in changed.outputs] == [graph.shape_of(o) for o in graph.outputs]


def test_a_pass_that_preserves_the_output_does(graph: Graph, step: GraphPass) -> None:
    if not step.preserves_output:
        pytest.skip(f"{step.name} does not claim it")
    changed, changes = run_passes(graph, [step])
    torch.manual_seed(0)
    old = spdbuild.build(graph).double().eval()
    for name, tensor in old.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.is_floating_point():
            tensor.normal_()
    weights = step.transfer(graph, changed, changes, old.state_dict())
    new = spdbuild.build(changed).double().eval()
    new.load_state_dict(weights)
    images = torch.randn(2, 3, 24, 32, dtype=torch.float64)
    torch.testing.assert_close(new(images), old(images), rtol=1e-12, atol=1e-12)


def test_every_pass_says_what_its_options_mean_and_where_it_comes_from(step: GraphPass) -> None:
    text = type(step).__doc__ or ""
    assert "Source:" in text
    for field in dataclasses.fields(step):
        assert f"\n    {field.name}" in text or f", {field.name}:" in text, field.name
    assert step.for_training or "recipes refuse" in text


def test_identities_in_a_row_all_go() -> None:
    text = NETWORK.replace("  - dropout(0.1)\n", "  - dropout(0.5)\n  - dropout(0.2)\n  - dropout(0.1)\n")
    text += 'passes: ["remove_identity(training_only=true)"]\n'
    assert not [node for node in spdbuild.load(text).graph if node.op.name == "dropout"]

"""A network whose space_to_depth has another order computes the same with the weights that were permuted for it."""

from __future__ import annotations

import pytest
import torch

from spdbuild.errors import WeightsError
from spdbuild.loading import load
from spdbuild.modules import compile_graph
from spdbuild.weights import compile_rules, describe_module, find_reorderings, match, match_any, rename
from spdbuild.weights.rename import Rule

TEXT = """
model: small
inputs: {{image: [3, 12, 12]}}
layers:
  - space_to_depth({block}, order="{order}")
  - stem: conv2d(4, 3)
  - relu()
  - spd: space_to_depth(2, order="{order}")
  - norm: batch_norm()
  - silu()
  - max_pool(2, stride=1)
  - last: conv2d(5, 1, bias=true)
"""


@pytest.mark.parametrize("order", ["row_column_channel", "channel_row_column"])
@pytest.mark.parametrize("block", ["2", "[1, 3]"])
def test_the_permuted_network_computes_the_same(order: str, block: str) -> None:
    torch.manual_seed(0)
    theirs = compile_graph(load(TEXT.format(order="column_row_channel", block=block)).graph).double().eval()
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    graph = load(TEXT.format(order=order, block=block)).graph
    ours = compile_graph(graph).double().eval()
    state, report = match(describe_module(ours), theirs.state_dict(), reorderings=find_reorderings(graph))
    ours.load_state_dict(state)
    x = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))
    assert {entry.name for entry in report.having("permuted")} == {
        "stem.weight",
        "norm.weight",
        "norm.bias",
        "norm.running_mean",
        "norm.running_var",
        "last.weight",
    }


def test_the_order_of_the_file_needs_nothing() -> None:
    graph = load(TEXT.format(order="row_column_channel", block=2)).graph
    assert find_reorderings(graph, source="row_column_channel") == {}


@pytest.mark.parametrize("line", ["add() <- spd, spd", "conv2d(12, 3, groups=12)"], ids=["a sum", "groups"])
def test_channels_that_no_permutation_sets_right_are_told(line: str) -> None:
    text = f"""
model: small
inputs: {{image: [3, 8, 8]}}
layers:
  - spd: space_to_depth(order="channel_row_column")
  - next: {line}
"""
    with pytest.raises(WeightsError) as caught:
        find_reorderings(load(text).graph)
    problem = caught.value.problems[0]
    assert problem.message == (
        "'next' reads channels in the order channel_row_column, and the file's are in column_row_channel"
    )
    assert problem.hint == 'write space_to_depth(order="column_row_channel") in the architecture'


RENAMED = {"theirs": compile_rules({"stem": "conv1", "norm": "bn", "last": "fc"})}


@pytest.mark.parametrize(("rules", "permuted"), [((), 0), (RENAMED["theirs"], 6)], ids=["our names", "their names"])
def test_only_a_file_under_their_names_has_their_order(rules: tuple[Rule, ...], permuted: int) -> None:
    graph = load(TEXT.format(order="row_column_channel", block=2)).graph
    ours = compile_graph(graph)
    state = ours.state_dict()
    theirs = {rename(name, rules): tensor for name, tensor in state.items()}
    found, report = match_any(describe_module(ours), theirs, RENAMED, graph=graph)
    assert len(report.having("permuted")) == permuted
    assert all(torch.equal(found[name], state[name]) for name in state) == (permuted == 0)


def test_a_strided_kernel_under_our_names_unfolds_into_our_order() -> None:
    text = """
model: small
inputs: {image: [3, 12, 12]}
layers:
"""
    strided = compile_graph(load(f"{text}  - stem: conv2d(4, 4, stride=2, padding=0)\n").graph)
    graph = load(f'{text}  - space_to_depth(2, order="row_column_channel")\n  - stem: conv2d(4, 2, padding=0)\n').graph
    ours = compile_graph(graph)
    state, _ = match_any(describe_module(ours), strided.state_dict(), {}, graph=graph)
    ours.load_state_dict(state)
    x = torch.randn(1, 3, 12, 12)
    torch.testing.assert_close(ours(x), strided(x))


def test_a_file_of_our_own_needs_no_permutation_that_cannot_be() -> None:
    text = TEXT.format(order="row_column_channel", block=2).replace("norm: batch_norm()", "sum: add() <- spd, spd")
    graph = load(text).graph
    module = compile_graph(graph)
    _, report = match_any(describe_module(module), module.state_dict(), {}, graph=graph)
    assert report.counts["loaded"] == len(module.state_dict())

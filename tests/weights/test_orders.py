"""A network whose space_to_depth has another order computes the same with the weights that were permuted for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import spdbuild
from spdbuild.errors import SpdbuildError, WeightsError
from spdbuild.loading import load
from spdbuild.modules import compile_graph
from spdbuild.phases import Order
from spdbuild.weights import compile_rules, describe_module, find_reorderings, match, match_any, rename, save_weights

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
    reorderings = find_reorderings(graph, "column_row_channel")
    state, report = match(describe_module(ours), theirs.state_dict(), reorderings=reorderings)
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


@pytest.mark.parametrize("source", [None, "row_column_channel"], ids=["not stated", "stated"])
def test_the_order_of_the_network_needs_nothing(source: Order | None) -> None:
    graph = load(TEXT.format(order="row_column_channel", block=2)).graph
    assert {(r.source, r.target) for r in find_reorderings(graph, source).values()} == {("row_column_channel",) * 2}


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
        find_reorderings(load(text).graph, "column_row_channel")
    problem = caught.value.problems[0]
    assert problem.message == (
        "'next' reads channels in the order channel_row_column, and the file's are in column_row_channel"
    )
    assert problem.hint == 'write space_to_depth(order="column_row_channel") in the architecture'


RENAMED = {"stem": "conv1", "norm": "bn", "last": "fc"}


@pytest.mark.parametrize(
    ("table", "order", "permuted"),
    [({}, "column_row_channel", 0), (RENAMED, None, 0), (RENAMED, "column_row_channel", 6)],
    ids=["our names", "their names", "their names in their order"],
)
def test_only_a_file_of_a_table_that_states_an_order_is_permuted(
    table: dict[str, str], order: Order | None, permuted: int
) -> None:
    graph = load(TEXT.format(order="row_column_channel", block=2)).graph
    ours = compile_graph(graph)
    state = ours.state_dict()
    theirs = {rename(name, compile_rules(table)): tensor for name, tensor in state.items()}
    stated: dict[str, str] = {"space_to_depth": order} if order else {}
    found, report = match_any(describe_module(ours), theirs, {"theirs": RENAMED | stated}, graph=graph)
    assert len(report.having("permuted")) == permuted
    assert all(torch.equal(found[name], state[name]) for name in state) == (permuted == 0)


SHUFFLED = """
model: shuffled
inputs: {image: [3, 8, 8]}
layers:
  - a: conv2d(12, 3)
  - depth_to_space([1, 3], order="column_row_channel")
  - relu()
  - space_to_depth([1, 3], order="channel_row_column")
  - b: conv2d(5)
  - add() <- b, b
"""


@pytest.mark.parametrize("order", [None, "column_row_channel"])
def test_a_channel_shuffle_is_the_same_in_every_file(order: Order | None) -> None:
    graph = load(SHUFFLED).graph
    assert find_reorderings(graph, order) == {}


def test_an_order_within_another_is_no_matter_of_permuting() -> None:
    text = """
model: twice
inputs: {image: [3, 8, 8]}
layers:
  - space_to_depth(2, order="row_column_channel")
  - twice: space_to_depth(2)
  - b: conv2d(5)
"""
    with pytest.raises(WeightsError, match="'twice' reads channels in the order row_column_channel"):
        find_reorderings(load(text).graph, "column_row_channel")


@pytest.mark.parametrize("order", ["row_column_channel", "channel_row_column"])
def test_a_table_states_the_order_of_its_files_in_which_kernels_fold_too(order: Order, tmp_path: Path) -> None:
    head = "model: small\ninputs: {image: [3, 12, 12]}\n"
    table = f"rename: {{theirs: {{space_to_depth: {order}, stem: conv1}}}}\n"
    # A norm and a convolution that read no channels of space_to_depth.
    rest = "  - norm: batch_norm()\n  - conv2: conv2d(8, 1)\n"
    text = f'{head}layers:\n  - space_to_depth(order="{order}")\n  - conv1: conv2d(4, 1)\n{rest}'
    theirs = spdbuild.build(text).eval()
    save_weights(tmp_path / "w", theirs.state_dict())
    x = torch.randn(1, 3, 12, 12)
    for lines in (
        "  - space_to_depth(2)\n  - stem: conv2d(4, 1)\n",
        "  - stem: conv2d(4, 2, stride=2, padding=0)\n",
        "  - stem: spd_conv2d(4, 2, stride=2, padding=0)\n",
    ):
        ours = load(f"{head}layers:\n{lines}{rest}{table}")
        state, report = spdbuild.import_weights(tmp_path / "w", ours)
        assert report.table == "theirs"
        torch.testing.assert_close(spdbuild.build(ours, state).eval()(x), theirs(x))


def test_an_order_that_is_none_is_refused_with_its_place() -> None:
    with pytest.raises(SpdbuildError) as caught:
        load(SHUFFLED + "rename:\n  theirs:\n    space_to_depth: row_colum_channel\n")
    [problem] = caught.value.problems
    assert problem.message == "'rename.theirs.space_to_depth' cannot be 'row_colum_channel'"
    assert problem.location is not None
    assert problem.location.line == 13


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

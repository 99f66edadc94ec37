"""What an import did, undone: names, shapes and the order of channels."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from spdbuild.conversion.folding import fold
from spdbuild.conversion.verification import random_weights
from spdbuild.errors import WeightsError
from spdbuild.loading import Architecture, load
from spdbuild.weights import restore
from spdbuild.weights.contents import TensorInfo
from spdbuild.weights.matching import match_any

SPD = """\
model: small
inputs: {image: [3, 16, 16]}
layers:
  - depth: space_to_depth(2)
  - stem: conv2d(8, 3)
  - norm: batch_norm()
  - relu()
  - global_avg_pool()
  - head: linear(5)
rename:
  theirs:
    stem: conv1
    norm: bn1
    head: fc
    space_to_depth: row_column_channel
"""
POOLED = """\
model: pooled
inputs: {image: [3, 8, 8]}
layers:
  - stem: conv2d(4, 3)
  - head: conv2d(7, 1, bias=true)
  - relu()
  - global_avg_pool()
rename:
  theirs: {stem: features, head: classifier}
"""
NAMES = ("conv1.weight", *(f"bn1.{part}" for part in ("weight", "bias", "running_mean", "running_var")))
SHAPES = dict(zip((*NAMES, "fc.weight", "fc.bias"), ((8, 12, 3, 3), *4 * [(8,)], (5, 8), (5,)), strict=True))


def described(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, TensorInfo]:
    return {name: TensorInfo(shape, "float32", 0) for name, shape in shapes.items()}


def like(tensors: Mapping[str, Tensor]) -> dict[str, TensorInfo]:
    return described({name: tuple(tensor.shape) for name, tensor in tensors.items()})


@pytest.fixture
def spd() -> Architecture:
    return load(SPD)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"conv1.weight": (8, 3, 6, 6)},
        {"fc.weight": (5, 8, 1, 1)},
        {"bn1.num_batches_tracked": ()},
        {"fc.weight": (1000, 8), "fc.bias": (1000,)},
        {"fc.weight": (1000, 8, 1, 1), "fc.bias": (1000,)},
    ],
    ids=["order", "strided kernel", "1x1 head", "counter", "classes", "classes of a 1x1 head"],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_what_is_restored_is_imported_as_it_was(
    spd: Architecture, changes: dict[str, tuple[int, ...]], prefix: str
) -> None:
    state = random_weights(spd.graph)
    wanted = {prefix + name: shape for name, shape in {**SHAPES, **changes}.items()}
    found, report = restore(state, described(wanted), spd.renames, spd.graph)
    assert (report.table, report.prefix, list(found)) == ("theirs", prefix, list(wanted))
    for name, shape in wanted.items():
        assert found[name].shape[1:] == shape[1:]
    target = {name: TensorInfo(tuple(t.shape), str(t.dtype).removeprefix("torch."), 0) for name, t in state.items()}
    back, _ = match_any(target, found, spd.renames, graph=spd.graph)
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked") or "bn1.num_batches_tracked" in wanted:
            assert torch.equal(back[name], tensor), name


def test_the_order_of_channels_is_that_of_the_other_side(spd: Architecture) -> None:
    state = random_weights(spd.graph)
    found, _ = restore(state, described(SHAPES), spd.renames, spd.graph)
    # Ours: column, row, channel; theirs: row, column, channel.
    ours = state["stem.weight"].reshape(8, 2, 2, 3, 3, 3)
    assert torch.equal(found["conv1.weight"].reshape(8, 2, 2, 3, 3, 3), ours.transpose(1, 2))
    assert not torch.equal(found["conv1.weight"], state["stem.weight"])


def test_a_folded_network_gets_the_weights_that_folding_computes(spd: Architecture) -> None:
    state = random_weights(spd.graph)
    folded = fold(spd.graph, state, fuse=False)
    assert folded.weights is not None
    assert folded.weights["stem.weight"].shape == (8, 3, 6, 6)
    found, _ = restore(state, like(folded.weights), {}, spd.graph)
    back, _ = restore(folded.weights, like(state), {}, folded.graph)
    for got, expected in ((found, folded.weights), (back, state)):
        assert list(got) == list(expected)
        assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bn1.bias": None}, "there is no 'bn1.bias', which 'norm.bias' of the network would be"),
        ({"fc2.bias": (3,)}, "the network has nothing that would be 'fc2.bias'"),
        ({"bn1.bias": (9,)}, "'bn1.bias' is 9, and 'norm.bias' of the network 8"),
        ({"fc.weight": (5, 9)}, "'fc.weight' is 5x9, and 'head.weight' of the network 5x8"),
        ({"bn1.bias": None, "fc2.bias": (3,)}, "'norm.bias' of the network would be; 1 more differ"),
    ],
)
def test_the_first_difference_is_told(
    spd: Architecture, change: dict[str, tuple[int, ...] | None], message: str
) -> None:
    shapes = {name: shape for name, shape in {**SHAPES, **change}.items() if shape is not None}
    with pytest.raises(WeightsError, match=message):
        restore(random_weights(spd.graph), described(shapes), spd.renames, spd.graph)


def test_behind_the_last_layer_there_may_be_some_without_weights() -> None:
    pooled = load(POOLED)
    state = random_weights(pooled.graph)
    shapes = {"features.weight": (4, 3, 3, 3), "classifier.weight": (5, 4, 1, 1), "classifier.bias": (5,)}
    found, _ = restore(state, described(shapes), pooled.renames, pooled.graph)
    assert torch.equal(found["classifier.weight"], state["head.weight"])
    shapes["features.weight"] = (5, 3, 3, 3)
    with pytest.raises(WeightsError, match="'features.weight' is 5x3x3x3, and 'stem.weight' of the network 4x3x3x3"):
        restore(state, described(shapes), pooled.renames, pooled.graph)

"""Two networks are equal, or part at a layer that is named."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import spdbuild
from spdbuild.conversion.folding import fold
from spdbuild.conversion.verification import Verification, random_inputs, random_weights, verify, weights_for
from spdbuild.errors import ArgumentError, InputError
from spdbuild.graph import Graph
from spdbuild.graph.text import graph_text

TEXT = """
model: m
inputs: {image: [3, 16, 16]}
blocks:
  conv_norm(out, stride=1):
    - conv: conv2d(out, 3, stride)
    - norm: batch_norm()
layers:
  - one: conv_norm(6, stride=2)
  - relu()
  - pool: max_pool(2, stride=2)
  - two: conv_norm(4)
"""


def model_of(graph: Graph, weights: object) -> nn.Module:
    model = spdbuild.build(graph).double()
    model.load_state_dict(weights)
    return model


def compared(one: Graph, other: Graph, tolerance: float = 1e-10) -> Verification:
    weights = random_weights(one)
    models = model_of(one, weights), model_of(other, weights_for(one, weights, other))
    return verify(*models, random_inputs(one), tolerance)


def converted(**options: object) -> tuple[Graph, Graph]:
    report = spdbuild.convert(spdbuild.load(TEXT), **options)[1]
    return report.before, report.after


def test_an_exact_conversion_is_equal_in_every_layer() -> None:
    found = compared(*converted(pool="keep"))
    assert found.equal
    assert [layer.name for layer in found.layers] == ["one.conv", "one.norm", "relu", "pool", "two.conv", "two.norm"]
    assert found.parting is None
    assert found.largest < 1e-14


UNET = """
model: unet
inputs: {image: [3, 16, 16]}
layers:
  - high: conv2d(8, 3)
  - act: prelu(per_channel=true)
  - low: conv2d(8, 3, stride=2)
  - norm: instance_norm()
  - elu()
  - up: conv_transpose2d(8, 2, stride=2)
  - joined: concat() <- act, up
  - down: conv2d(8, 3, stride=2)
  - slope: prelu(per_channel=true)
  - head: conv2d(4)
  - softmax()
  - global_max_pool()
"""


@pytest.mark.parametrize("options", [{}, {"placement": "after", "only": ["down"]}], ids=["before", "after"])
def test_ops_that_a_conversion_leaves_alone_keep_their_weights(options: dict[str, object]) -> None:
    report = spdbuild.convert(UNET, **options)[1]
    assert {"up", "act", "head"}.isdisjoint(layer.name for layer in report.replaced)
    assert compared(report.before, report.after).equal


def test_a_mean_in_the_place_of_a_max_pool_is_where_they_part() -> None:
    found = compared(*converted())
    assert not found.equal
    assert found.parting is not None
    assert found.parting.name == "pool"


def test_layers_of_other_shapes_are_skipped() -> None:
    found = compared(*converted(placement="after", pool="keep"))
    assert found.equal
    assert found.skipped == ("one.conv", "one.norm", "relu", "pool")


class Plus(nn.Module):
    def __init__(self, more: float) -> None:
        super().__init__()
        self.more = torch.tensor([0.0, more, 0.0, 0.0], dtype=torch.float64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.more


def test_the_error_is_relative_to_the_largest_number() -> None:
    """Outputs 1 .. 4, and one that is 0.2 too large: 0.2 / 4."""
    x = torch.tensor([[1.0, 2.0, 3.0, -4.0]], dtype=torch.float64)
    assert verify(Plus(0), Plus(0.2), [(x,)], 0.01).largest == pytest.approx(0.05)
    assert verify(Plus(0), Plus(0.2), [(0 * x,)], 0.01).largest == pytest.approx(0.2)
    assert math.isnan(verify(Plus(0), Plus(math.nan), [(x,)], 0.01).largest)
    assert not verify(Plus(0), Plus(math.nan), [(x,)], 0.01).equal


def test_a_folded_network_in_a_flat_file_is_compared_by_its_flat_names() -> None:
    one, other = converted(pool="keep")
    folding = fold(other, weights_for(one, random_weights(one), other), fuse=False)
    flat = spdbuild.load(graph_text(folding.graph)).graph
    weights = {f"{name.rpartition('.')[0].replace('.', '_')}.{name.rpartition('.')[2]}": tensor
               for name, tensor in (folding.weights or {}).items()}  # fmt: skip
    found = verify(model_of(one, random_weights(one)), model_of(flat, weights), random_inputs(one), 1e-12)
    assert found.equal
    assert len(found.layers) == 6


def test_networks_of_different_outputs_are_refused() -> None:
    one = spdbuild.load(TEXT).graph
    other = spdbuild.load(TEXT.replace("conv_norm(4)", "conv_norm(5)")).graph
    with pytest.raises(InputError, match=r"the outputs have the shapes \[\(2, 4, 4, 4\)\] and \[\(2, 5, 4, 4\)\]"):
        verify(model_of(one, random_weights(one)), model_of(other, random_weights(other)), random_inputs(one), 1)


def test_a_network_that_is_no_conversion_needs_weights_of_its_own() -> None:
    one, other = spdbuild.load(TEXT).graph, spdbuild.load(TEXT.replace("pool:", "shrink:")).graph
    with pytest.raises(InputError, match="m is no conversion of m: m has no layer 'shrink'"):
        compared(one, other)


def test_no_hooks_are_left_and_modes_are_evaluation() -> None:
    one, other = converted(pool="keep")
    weights = random_weights(one)
    models = model_of(one, weights), model_of(other, weights_for(one, weights, other))
    verify(*models, random_inputs(one), 1e-10)
    assert not any(module._forward_hooks for model in models for module in model.modules())
    assert not any(model.training for model in models)


def test_random_weights_are_the_same_every_time_and_leave_the_seed_alone() -> None:
    graph = spdbuild.load(TEXT).graph
    torch.manual_seed(7)
    first = random_weights(graph)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(tensor, random_weights(graph)[name]) for name, tensor in first.items())
    assert (first["one.norm.running_var"] != 1).all()


def test_one_tensor_a_run_and_one_run_are_inputs_too() -> None:
    x = torch.ones(1, 4)
    for inputs in (x, [x], [(x,)], [[x]]):
        assert verify(Plus(0), Plus(1e-6), inputs).equal
        assert not verify(Plus(0), Plus(1e-3), inputs).equal


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"model_b must be a torch\.nn\.Module, got a str"):
        verify(Plus(0), "resnet18", torch.ones(1, 4))  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", ["batch_norm()", "group_norm(2)", "layer_norm()"])
def test_random_weights_of_norms_are_as_general_as_trained_ones(norm: str) -> None:
    text = f"model: m\ninputs: {{image: [3, 4, 4]}}\nlayers:\n  - conv: conv2d(4)\n  - norm: {norm}\n"
    weights = random_weights(spdbuild.load(text).graph)
    assert (weights["norm.weight"] != 1).all()
    assert (weights["norm.bias"] != 0).all()


def test_a_result_is_told_in_a_line() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3))
    found = verify(model, model, [torch.zeros(1, 3, 8, 8)])
    told = "equal: 1 outputs, largest relative error 0.0e+00, tolerance 1e-05; 1 layers compared by name"
    assert (str(found), repr(found)) == (told, f"Verification({told})")


def test_networks_are_compared_as_the_command_does() -> None:
    architecture = spdbuild.load(TEXT)
    kept, report = spdbuild.convert(architecture, pool="keep")
    found = spdbuild.verify(architecture, kept)
    assert (found.equal, found.tolerance) == (True, 1e-10)
    assert found.to_dict() == compared(architecture.graph, kept.graph).to_dict()
    assert spdbuild.verify(TEXT, spdbuild.convert(TEXT)[0]).parting.name == "pool"
    state = spdbuild.build(architecture).state_dict()
    moved = spdbuild.transfer(report, state)
    assert spdbuild.verify(architecture, kept, weights_a=state, weights_b=moved).equal
    assert spdbuild.verify(architecture, kept, weights_a=state, weights_b=moved).tolerance == 1e-5
    other = moved | {"two.conv.weight": 2 * moved["two.conv.weight"]}
    assert spdbuild.verify(architecture, kept.graph, weights_a=state, weights_b=other).parting.name == "two.conv"
    assert spdbuild.verify(architecture, kept, [torch.ones(1, 3, 16, 16)], 0.5).tolerance == 0.5

"""The compiled model is an ordinary torch module."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

import spdbuild
from spdbuild.architecture.reserved import why_no_layer
from spdbuild.errors import InputError
from spdbuild.modules import compile_graph
from spdbuild.weights import save_weights

TEXT = """
model: two_heads
inputs: {image: [3, 16, 16], depth: [1, 16, 16]}
outputs: [big, small.1]
blocks:
  unit(out, stride=1):
    - conv: spd_conv2d(out, 3, stride)
    - norm: batch_norm()
    - relu()
layers:
  - joined: concat() <- image, depth
  - stem: unit(8, 2)
  - rest: unit(8) * 2
  - big: conv2d(4)
  - small: split(2) <- rest
"""
CASES = {
    "cifar_resnet20": ("cifar_resnet20", {"inputs": [[3, 16, 16]]}),
    "yolov5_spd": ("yolov5_spd", {"variant": "n", "inputs": [[3, 64, 64]]}),
    "mobilenet_v2": ("mobilenet_v2", {"inputs": [[3, 32, 32]]}),
    "two_heads": (TEXT, {}),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, list[torch.Tensor]]:
    name, choices = CASES[request.param]
    architecture = spdbuild.load(name, **choices)
    torch.manual_seed(0)
    inputs = [torch.randn(2, *node.shape) for node in architecture.graph.inputs]
    return spdbuild.build(architecture).eval(), inputs


def outputs(model: nn.Module, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        result = model(*inputs)
    return list(result) if isinstance(result, list | tuple) else [result]


def assert_same(one: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_module_paths_are_the_names_of_the_file() -> None:
    model = spdbuild.build("resnet50", device="meta")
    graph = spdbuild.load("resnet50").graph
    assert {node.name for node in graph.layers} <= dict(model.named_modules()).keys()
    assert type(model.get_submodule("stage2.first.spatial.conv")) is nn.Conv2d


def test_no_layer_can_be_called_like_an_attribute_of_its_module() -> None:
    model = spdbuild.build("model: m\ninputs: {image: [3, 4, 4]}\nlayers:\n  - only: conv2d(4)\n")
    assert {name for name in dir(model) if not why_no_layer(name, nested=False)} == {"only"}
    assert not [name for name in dir(nn.Module()) if not why_no_layer(name, nested=True)]


@pytest.mark.parametrize("name", ["code", "graph", "meta", "self"])
def test_inside_a_block_the_names_of_the_network_are_free(name: str) -> None:
    text = f"model: m\ninputs: {{image: [3, 4, 4]}}\nneck:\n  - {name}: conv2d(4)\n  - head: conv2d(2)\n"
    model = spdbuild.build(text)
    assert model(torch.zeros(1, 3, 4, 4)).shape == (1, 2, 4, 4)
    assert f"neck.{name}.weight" in model.state_dict()


def test_several_inputs_and_outputs() -> None:
    model = spdbuild.build(TEXT).eval()
    big, small = model(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16))
    assert big.shape == (1, 4, 8, 8)
    assert small.shape == (1, 4, 8, 8)


def test_outputs_have_the_static_shapes(case: tuple[nn.Module, list[torch.Tensor]]) -> None:
    model, inputs = case
    assert all(torch.isfinite(output).all() for output in outputs(model, inputs))


def test_a_deep_copy_computes_the_same(case: tuple[nn.Module, list[torch.Tensor]]) -> None:
    model, inputs = case
    twin = copy.deepcopy(model)
    assert_same(outputs(twin, inputs), outputs(model, inputs))
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in model.parameters()}


def test_a_state_dict_is_plain_and_fits_a_second_model(case: tuple[nn.Module, list[torch.Tensor]]) -> None:
    model, _ = case
    assert all(type(value) is torch.Tensor for value in model.state_dict().values())
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        nn.init.zeros_(parameter)
    twin.load_state_dict(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(twin.parameters(), model.parameters(), strict=True))


def test_channels_last_computes_the_same(case: tuple[nn.Module, list[torch.Tensor]]) -> None:
    model, inputs = case
    before = outputs(model, inputs)
    model = model.to(memory_format=torch.channels_last)
    inner = [x.to(memory_format=torch.channels_last) for x in inputs]
    assert_same(outputs(model, inner), before)


def test_torch_compile_needs_no_break(case: tuple[nn.Module, list[torch.Tensor]]) -> None:
    model, inputs = case
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    assert_same(outputs(compiled, inputs), outputs(model, inputs))


def test_torch_export_gives_the_same_program(case: tuple[nn.Module, list[torch.Tensor]]) -> None:
    model, inputs = case
    program = torch.export.export(model, tuple(inputs))
    assert_same(outputs(program.module(), inputs), outputs(model, inputs))


def test_gradients_reach_every_parameter(case: tuple[nn.Module, list[torch.Tensor]]) -> None:
    model, inputs = case
    result = model(*inputs)
    torch.stack(
        [output.square().mean() for output in (result if isinstance(result, list) else [result])]
    ).sum().backward()
    missing = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not missing


def test_a_replaced_layer_is_the_one_that_runs() -> None:
    model = spdbuild.build(TEXT).eval()
    model.stem.relu = nn.Tanh()
    seen = []
    model.stem.relu.register_forward_hook(lambda *_: seen.append(True))
    model(torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16))
    assert seen


def test_the_meta_device_takes_no_memory_for_the_largest_network() -> None:
    architecture = spdbuild.load("yolov5", variant="x")
    model = spdbuild.build(architecture, device="meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert sum(parameter.numel() for parameter in model.parameters()) == 86_749_405


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, spdbuild.build("cifar_resnet20").state_dict())
    with pytest.raises(InputError, match="25 of 122 weights are not in the file"):
        spdbuild.build("resnet18", weights=path)


def test_networks_that_share_a_layer_by_name_share_its_first_weights():
    strided = spdbuild.load("cifar_resnet20")
    converted, _ = spdbuild.convert(strided)
    ours, theirs = (compile_graph(network.graph, seed=3).state_dict() for network in (strided, converted))
    changed = {name for name in ours if ours[name].shape != theirs[name].shape}
    assert changed
    assert all(torch.equal(ours[name], theirs[name]) for name in ours.keys() - changed)


def test_layers_of_one_shape_and_other_seeds_differ():
    first, second = (compile_graph(spdbuild.load("cifar_resnet20").graph, seed=seed).state_dict() for seed in (0, 1))
    kernels = [first[name] for name in first if name.endswith("conv.weight") and first[name].shape == (16, 16, 3, 3)]
    assert len(kernels) > 3
    assert len({float(kernel.sum()) for kernel in kernels}) == len(kernels)
    assert not torch.equal(kernels[0], next(t for t in second.values() if t.shape == kernels[0].shape))


def test_first_weights_by_layer_are_spread_as_torch_spreads_them():
    kernels = torch.cat(
        [
            tensor.flatten()
            for seed in range(20)
            for name, tensor in compile_graph(spdbuild.load("cifar_resnet20").graph, seed=seed).state_dict().items()
            if tensor.shape == (64, 64, 3, 3)
        ]
    )
    # Uniform within 1 / sqrt(fan-in), whose standard deviation is the bound / sqrt(3).
    bound = (64 * 9) ** -0.5
    assert kernels.abs().max() <= bound
    assert abs(float(kernels.mean())) < 0.01 * bound
    assert float(kernels.std()) == pytest.approx(bound / 3**0.5, rel=0.01)


def test_an_ensemble_runs_by_vmap_over_stacked_weights() -> None:
    architecture, _ = spdbuild.convert("cifar_resnet20")
    models = [spdbuild.build(architecture).eval() for _ in range(3)]
    x = torch.randn(2, 3, 32, 32)
    states = [model.state_dict() for model in models]
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    together = torch.vmap(lambda state: torch.func.functional_call(models[0], state, (x,)))(stacked)
    torch.testing.assert_close(together, torch.stack([model(x) for model in models]), rtol=1e-4, atol=1e-4)

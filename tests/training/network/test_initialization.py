"""The weights that a network starts with, where a recipe chooses them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import spdbuild
from spdbuild.errors import RecipeError
from spdbuild.nn.detection import Detect
from spdbuild.text.yaml_text import yaml_text
from spdbuild.training.network.initialization import initialize
from spdbuild.training.network.network import BuiltNetwork, build_network
from spdbuild.training.recipe import Network, Recipe, load_recipe
from spdbuild.training.running import session
from spdbuild.training.running.run import resume, train
from spdbuild.weights.rename import compile_rules, rename

Same = Callable[[Path, Path], None]

#: How torchvision's ResNets start.
KAIMING = {"name": "kaiming_normal", "mode": "fan_out", "nonlinearity": "relu"}

NETWORK = """\
model: several
inputs: {image: [3, 16, 16]}
layers:
  - stem: conv2d(64, 3, bias=true)
  - norm: batch_norm()
  - act: prelu()
  - down: spd_conv2d(64, 3, stride=2)
  - scale: layer_scale()
  - pool: spd_max_pool(2, stride=2)
  - up: conv_transpose2d(32, 2, stride=2)
  - norm2: group_norm(4)
  - global_avg_pool()
  - head: linear(10)
"""


def recipe_of(init: dict[str, Any], architecture: str = NETWORK, **keys: Any) -> Recipe:
    return load_recipe({"architecture": architecture, "data": {"name": "digits"}, "init": init, **keys})


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., BuiltNetwork]:
    """Makes a network of a text or a built-in name, initialized with a seed as a recipe says."""

    def start(init: dict[str, Any], architecture: str = NETWORK, seed: int = 0, **keys: Any) -> BuiltNetwork:
        if "\n" in architecture:
            path = tmp_path / "network.yaml"
            path.write_text(architecture)
            architecture = str(path)
        recipe = recipe_of(init, architecture, seed=seed, **keys)
        network = build_network(recipe, seed=seed)
        initialize(network.module, recipe)
        return network

    return start


Start = Callable[..., BuiltNetwork]


def changed(network: BuiltNetwork, plain: BuiltNetwork) -> set[str]:
    """The names of the tensors that differ between two networks."""
    before = plain.module.state_dict()
    return {name for name, tensor in network.module.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("zero_init_residual", [False, True])
def test_a_resnet_can_start_as_in_torchvision(started: Start, zero_init_residual: bool) -> None:
    """Torchvision's numbers come from one generator, so that only what they are drawn from can be the same."""
    zeros = {"*.spatial2.norm": "zeros"} if zero_init_residual else {}
    network = started({"*": KAIMING, "head": "torch", **zeros}, "resnet18", seed=3)
    torch.manual_seed(3)
    theirs = torchvision.models.resnet18(zero_init_residual=zero_init_residual).state_dict()
    rules = compile_rules(network.architecture.renames["torchvision"])
    ours = {rename(name, rules): tensor for name, tensor in network.module.state_dict().items()}
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        if tensor.dim() == 4 or name.startswith("fc"):
            assert_same_distribution(ours[name], tensor)
        else:
            assert torch.equal(ours[name], tensor), name


def assert_same_distribution(one: Tensor, other: Tensor) -> None:
    """Two samples of one distribution, by the test of Kolmogorov and Smirnov at a level of 1e-5."""
    samples = [x.flatten()[:10_000].sort().values for x in (one, other)]
    values = torch.cat(samples)
    shares = [torch.searchsorted(sample, values, right=True) / len(sample) for sample in samples]
    limit = math.sqrt(-math.log(1e-5 / 2) / 2 * 2 / len(samples[0]))
    assert (shares[0] - shares[1]).abs().max() < limit


def test_layers_start_as_torch_makes_them_and_independent_of_each_other() -> None:
    torch.manual_seed(5)
    model = build_network(Network("cifar_resnet20"), seed=5).module
    named = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}
    for layer in named.values():
        before = layer.weight.detach().clone()
        layer.reset_parameters()
        assert_same_distribution(before, layer.weight.detach())
        assert before.abs().max() <= 1 / math.sqrt(before[0].numel())
    flat = [model.get_parameter(f"stage3.rest.0.{part}.conv.weight").flatten() for part in ("spatial1", "spatial2")]
    assert torch.corrcoef(torch.stack(flat))[0, 1].abs() < 5 / math.sqrt(flat[0].numel())


def test_a_residual_block_whose_last_norm_is_zero_starts_as_the_identity(started: Start) -> None:
    model = started({"*.spatial2.norm": "zeros"}, "cifar_resnet20", vars={"classes": 10}).module.eval()
    seen: dict[str, Tensor] = {}
    first_layers = [f"stage{stage}.rest.{index}.spatial1.conv" for stage in (1, 2, 3) for index in (0, 1)]
    for name in first_layers:
        model.get_submodule(name).register_forward_pre_hook(lambda _, x, name=name: seen.update({name: x[0]}))
    model(torch.rand(2, 3, 32, 32))
    for stage in (1, 2, 3):
        entering, leaving = (seen[f"stage{stage}.rest.{index}.spatial1.conv"] for index in (0, 1))
        assert entering.any()
        assert torch.equal(entering, leaving)


def test_without_the_key_nothing_is_drawn_and_nothing_changes(started: Start) -> None:
    network = started({})
    state = torch.get_rng_state()
    assert changed(network, build_network(Network(network.architecture.document.source.name), seed=0)) == set()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_star_is_for_convolutions_and_linear_layers(started: Start) -> None:
    network = started({"*": {"name": "normal", "mean": 5, "std": 0.1}})
    weights, biases = ["down.weight", "head.weight", "stem.weight", "up.weight"], ["head.bias", "stem.bias"]
    assert sorted(changed(network, started({}))) == sorted(weights + biases)
    assert all(network.module.get_parameter(name).mean().item() == pytest.approx(5, abs=0.02) for name in weights)
    assert not any(network.module.get_parameter(name).any() for name in biases)


def test_fans_are_those_of_the_layer_itself(started: Start) -> None:
    model = started({"*": "kaiming_normal"}).module
    # 64 channels in blocks of 2 x 2 pixels, 2 x 2 blocks; and torch's fan_in of a transposed convolution.
    for name, fan in {"down": 64 * 4 * 4, "up": 32 * 4}.items():
        assert model.get_parameter(f"{name}.weight").std().item() == pytest.approx(math.sqrt(2 / fan), rel=0.03)


@pytest.mark.parametrize("name", ["norm", "norm2", "act", "scale", "pool"])
def test_a_pattern_that_matches_only_what_starts_as_something_is_for_that(started: Start, name: str) -> None:
    network = started({name: {"name": "constant", "val": 0.3}})
    assert changed(network, started({})) == {f"{name}.weight"}


def test_the_last_pattern_for_a_layer_counts(started: Start) -> None:
    model = started({"*": "zeros", "stem": "ones", "*ea*": {"name": "constant", "val": 2}}).module
    assert not model.get_parameter("down.weight").any()
    assert (model.get_parameter("stem.weight") == 1).all()
    assert (model.get_parameter("head.weight") == 2).all()
    assert not started({"stem": "ones", "*": "zeros"}).module.get_parameter("stem.weight").any()


def test_torch_takes_a_layer_out_of_an_earlier_pattern(started: Start) -> None:
    assert changed(started({"*": "zeros", "head": "torch"}), started({})).isdisjoint({"head.weight", "head.bias"})


def test_numbers_do_not_depend_on_how_the_patterns_are_written(started: Start) -> None:
    split = {"head": "kaiming_normal", "up": "kaiming_normal", "down": "kaiming_normal", "stem": "kaiming_normal"}
    assert changed(started(split), started({"*": "kaiming_normal"})) == set()


def test_a_norm_without_weights_is_no_layer_to_fill(started: Start) -> None:
    recipe = recipe_of({"0": "ones"})
    with pytest.raises(RecipeError, match="no layer with weights matches '0'"):
        initialize(nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 4, 1)), recipe)


def test_a_detection_head_keeps_expecting_few_objects(started: Start) -> None:
    keys = {"variant": "n", "data": {"name": "tiny_objects", "size": 64}, "input": [3, 64, 64]}
    network, plain = started({"*": "xavier_normal"}, "yolov5", **keys), started({}, "yolov5", **keys)
    (head,) = (name for name, module in network.module.named_modules() if isinstance(module, Detect))
    differing = {name.removeprefix(f"{head}.") for name in changed(network, plain) if name.startswith(head)}
    assert differing == {f"levels.{level}.weight" for level in range(3)}


ERRORS = {
    "no layer": (
        {"haed": "zeros"},
        ":3:3: error: init: no layer with weights matches 'haed'",
        "did you mean 'head'?",
    ),
    "not for norms": (
        {"*": "zeros", "norm*": "kaiming_normal"},
        ":4:3: error: init: kaiming_normal is for convolutions and linear layers, and 'norm*' matches none",
        "these are for norms, too: constant, normal, ones, torch, trunc_normal, uniform, zeros",
    ),
    "not for factors of channels": (
        {"scale": "orthogonal"},
        ":3:3: error: init: orthogonal is for convolutions and linear layers, and 'scale' matches none",
        "these are for norms, too: constant, normal, ones, torch, trunc_normal, uniform, zeros",
    ),
}


@pytest.mark.parametrize(("init", "message", "hint"), ERRORS.values(), ids=ERRORS)
def test_a_pattern_without_a_layer_to_fill_is_told_with_its_place(
    started: Start, tmp_path: Path, init: dict[str, Any], message: str, hint: str
) -> None:
    model = started({}).module
    path = tmp_path / "recipe.yaml"
    path.write_text(
        yaml_text({"architecture": str(tmp_path / "network.yaml"), "init": init, "data": {"name": "digits"}})
    )
    with pytest.raises(RecipeError) as caught:
        initialize(model, load_recipe(path))
    assert f"{path}{message}" in str(caught.value)
    assert caught.value.problems[0].hint == hint


#: Updates too small to change a number, so that a run ends with the weights that it began with.
STILL = ["epochs=1", "max_steps=1", "ema=null", "optimizer={name: sgd, lr: 1e-30}"]


def first_weights(recipe: Path, runs: Path, *overrides: str) -> dict[str, Tensor]:
    run = train(recipe, [*STILL, *overrides], quiet=True, runs=runs)
    return load_file(run.folder / "weights" / "last.safetensors")


def test_a_run_begins_with_the_weights_that_follow_from_its_seed(recipe: Path, tmp_path: Path) -> None:
    key = "init={'*': orthogonal, norm: {name: constant, val: 0.5}}"
    one, same, other = (first_weights(recipe, tmp_path, key, f"seed={seed}") for seed in (0, 0, 1))
    matrix = one["head.weight"]  # [10, 16]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(10), atol=1e-5, rtol=0)
    assert (one["norm.weight"] == 0.5).all()
    assert torch.equal(matrix, same["head.weight"])
    assert not torch.equal(matrix, other["head.weight"])


def test_weights_of_a_file_win_and_what_is_fresh_is_initialized(recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "start.safetensors"
    state = spdbuild.build(spdbuild.load(tmp_path / "tiny.yaml")).state_dict()
    save_file({name: torch.full_like(tensor, 3) for name, tensor in state.items()}, file)
    loaded = first_weights(recipe, tmp_path, "init={'*': ones}", f"weights={{file: {file}, fresh: [head]}}")
    assert (loaded["stem.weight"] == 3).all()
    assert (loaded["head.weight"] == 1).all()
    assert loaded["head.bias"].abs().max() < 1e-30


def test_a_resumed_run_is_not_initialized_again(
    recipe: Path, tmp_path: Path, assert_same_run: Same, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["epochs=2", "init={'*': kaiming_normal, norm: zeros}"]
    whole = train(recipe, options, quiet=True, runs=tmp_path / "whole")
    part = train(recipe, [*options, "max_steps=8"], quiet=True, runs=tmp_path / "part")
    monkeypatch.delattr(session, "initialize")
    resume(part.folder, ["max_steps=null"], quiet=True)
    assert_same_run(part.folder, whole.folder)


def test_a_resumed_run_keeps_the_key(recipe: Path, tmp_path: Path) -> None:
    part = train(recipe, ["max_steps=1", "init={'*': zeros}"], quiet=True, runs=tmp_path)
    with pytest.raises(RecipeError, match=r"a resumed run stays what it was, so 'init\.head' cannot change"):
        resume(part.folder, ["init.head=ones"], quiet=True)


def test_a_twin_adds_patterns_to_those_of_the_run(recipe: Path, tmp_path: Path) -> None:
    keys = "init={'*': ones, head: torch}", "compare={zero: {init: {head: zeros, norm: zeros}}}"
    run = train(recipe, [*STILL, *keys], quiet=True, runs=tmp_path)
    (twin,) = run.twins
    ours, theirs = (load_file(folder / "weights" / "last.safetensors") for folder in (run.folder, twin.folder))
    assert {name for name in ours if name.endswith("weight") and not torch.equal(ours[name], theirs[name])} == {
        "head.weight",
        "norm.weight",
    }
    assert (theirs["stem.weight"] == 1).all()
    assert not theirs["head.weight"].any()


@pytest.mark.parametrize("options", [[], ["init={'*': kaiming_normal}"]], ids=["torch", "init"])
def test_twins_begin_with_the_same_weights_in_all_layers_that_they_share(
    recipe: Path, tmp_path: Path, options: list[str]
) -> None:
    keys = ["passes=['strided_to_spd()']", "compare={strided: {passes: []}}", *options]
    run = train(recipe, [*STILL, *keys], quiet=True, runs=tmp_path)
    ours, theirs = (load_file(folder / "weights" / "last.safetensors") for folder in (run.folder, run.twins[0].folder))
    assert ours.keys() == theirs.keys()
    # The statistics of norms follow from what the one other layer gives.
    shared = [name for name in ours if not name.startswith("down") and "running" not in name]
    assert ours["down.weight"].shape != theirs["down.weight"].shape
    assert all(torch.allclose(ours[name], theirs[name], rtol=0, atol=1e-20) for name in shared)


def test_heads_of_detectors_begin_alike_in_twins_and_for_other_classes_in_all_that_has_their_shape() -> None:
    def state(classes: int, *passes: str) -> dict[str, Tensor]:
        named = Network("yolov5", variant="n", vars={"classes": classes}, passes=passes)
        return build_network(named, size=(64, 64), seed=1).module.state_dict()

    spd, strided, other = state(4, "strided_to_spd()"), state(4), state(7)
    differing = {name for name in strided if spd[name].shape != strided[name].shape}
    assert 0 < len(differing) < 10
    assert all(torch.equal(spd[name], strided[name]) for name in strided.keys() - differing)
    heads = {name for name in strided if name.startswith("head.detect.levels")}
    assert len(heads) == 6
    assert all(torch.equal(other[name], strided[name]) for name in strided.keys() - heads)

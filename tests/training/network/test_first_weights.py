"""Runs that start from the weights of a file, and leave some of them fresh."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor

import spdbuild
from spdbuild.errors import SpdbuildError
from spdbuild.training.checkpoint import load_state
from spdbuild.training.network.first_weights import load_weights, start
from spdbuild.training.network.network import BuiltNetwork, build_network
from spdbuild.training.recipe import FirstWeights, Network
from spdbuild.training.running.run import resume, train


def network(architecture: str, **options: Any) -> BuiltNetwork:
    return build_network(Network(architecture, **options))


def weights_of(built: BuiltNetwork) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in built.module.state_dict().items()}


@pytest.fixture
def torchvision_resnet(tmp_path: Path) -> dict[str, Tensor]:
    """A ResNet-18 for 10 classes as torchvision names it, whose file is `resnet18.pth`."""
    state = torchvision.models.resnet18(num_classes=10).state_dict()
    torch.save(state, tmp_path / "resnet18.pth")
    return state


def test_a_classifier_of_others_starts_one_for_more_classes(
    torchvision_resnet: dict[str, Tensor], tmp_path: Path
) -> None:
    built = network("resnet18", vars={"classes": 200})
    before, file = weights_of(built), tmp_path / "resnet18.pth"
    told = start(built, FirstWeights(str(file), fresh=("head",)))
    after = weights_of(built)
    assert told == (
        f"120 weights from {file}, by the names of the table 'torchvision'; fresh: head; not used: fc.weight, fc.bias"
    )
    assert torch.equal(after["stem.conv.weight"], torchvision_resnet["conv1.weight"])
    assert torch.equal(after["stage4.rest.0.spatial2.norm.running_var"], torchvision_resnet["layer4.1.bn2.running_var"])
    assert torch.equal(after["head.weight"], before["head.weight"])
    assert torch.equal(after["head.bias"], before["head.bias"])


def test_what_is_fresh_is_the_same_in_twins(tmp_path: Path) -> None:
    heads = []
    for number, passes in enumerate(((), ("strided_to_spd()",))):
        named = Network("cifar_resnet20", passes=passes)
        file = tmp_path / f"{number}.safetensors"
        save_file(build_network(named).module.state_dict(), file)
        built = build_network(named, seed=4)
        start(built, FirstWeights(str(file), fresh=("head",)))
        heads.append(weights_of(built))
    assert torch.equal(heads[0]["head.weight"], heads[1]["head.weight"])
    assert torch.equal(heads[0]["head.bias"], heads[1]["head.bias"])
    assert not torch.equal(heads[0]["stem.conv.weight"], heads[1]["stem.conv.weight"])


def test_the_weights_of_a_checkpoint_can_be_chosen(torchvision_resnet: dict[str, Tensor], tmp_path: Path) -> None:
    averaged = {f"module.{name}": torch.zeros_like(tensor) for name, tensor in torchvision_resnet.items()}
    torch.save({"model": torchvision_resnet, "model_ema": averaged}, tmp_path / "run.pth")
    built, file = network("resnet18", vars={"classes": 10}), str(tmp_path / "run.pth")
    told = start(built, FirstWeights(file))
    table = "by the names of the table 'torchvision'"
    assert told == f"122 weights from {file}, under 'model_ema', {table}, behind 'module.'"
    assert not weights_of(built)["stem.conv.weight"].any()
    assert start(built, FirstWeights(file, key="model")) == f"122 weights from {file}, under 'model', {table}"
    assert torch.equal(weights_of(built)["stem.conv.weight"], torchvision_resnet["conv1.weight"])


def test_a_head_that_has_learned_other_classes_is_told(tmp_path: Path) -> None:
    built, file = network("resnet18", vars={"classes": 3}), tmp_path / "w.safetensors"
    save_file(weights_of(built), file, {"classes": '["cat", "dog", "owl"]'})
    weights = FirstWeights(str(file))
    told = start(built, weights, classes=("cat", "fox", "elk"))
    assert told.endswith("; warning: its head has learned other classes: 'dog' for 'fox', 'owl' for 'elk'")
    assert "warning" not in start(built, weights, classes=("cat", "dog", "owl"))
    # A new head has learned nothing.
    assert "warning" not in start(built, FirstWeights(str(file), fresh=("head",)), classes=("cat", "fox", "elk"))


def test_a_detector_of_80_classes_starts_one_of_4(tmp_path: Path) -> None:
    trained = spdbuild.build(spdbuild.load("yolov5", variant="n"))
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter)
    save_file(trained.state_dict(), tmp_path / "coco.safetensors")
    built = network("yolov5", variant="n", vars={"classes": 4})
    told = start(built, FirstWeights(str(tmp_path / "coco.safetensors"), fresh=("head.detect.levels",)))
    assert told.startswith("343 weights from ")
    assert "; fresh: head.detect.levels; not used: head.detect.levels.0.bias, " in told
    after, theirs = weights_of(built), trained.state_dict()
    assert all(torch.equal(after[name], theirs[name]) for name in after if "levels" not in name)
    for level, stride in enumerate((8, 16, 32)):
        bias = after[f"head.detect.levels.{level}.bias"].view(3, 9)
        # torch's own first values are less than 1/sqrt(inputs of a cell) from 0; the narrowest level has 64.
        assert bias[:, 4] == pytest.approx([math.log(8 / (640 / stride) ** 2)] * 3, abs=1 / 8)
        assert bias[:, 5:].flatten().tolist() == pytest.approx([math.log(0.6 / 3.01)] * 12, abs=1 / 8)


def test_a_checkpoint_of_the_released_detector_starts_one_of_4_classes(golden: Path) -> None:
    built = network("yolov5_spd", variant="n", vars={"classes": 4})
    told = start(built, FirstWeights(str(golden / "yolov5_spd_n.reference.pt"), fresh=("head.detect.levels",)))
    assert "fresh: head.detect.levels; not used: model." in told


def test_all_weights_of_a_teacher_must_be_in_its_file(torchvision_resnet: dict[str, Tensor], tmp_path: Path) -> None:
    weights = FirstWeights(str(tmp_path / "resnet18.pth"))
    load_weights(network("resnet18", vars={"classes": 10}), weights)
    with pytest.raises(SpdbuildError, match="'head.weight' \\('fc.weight'\\) needs 200x512, has 10x512"):
        load_weights(network("resnet18", vars={"classes": 200}), weights)


def test_an_average_without_buffers_is_not_completed_by_random_ones(recipe: Path, tmp_path: Path) -> None:
    built, file = network(str(tmp_path / "tiny.yaml")), str(tmp_path / "w.pt")
    parameters = dict(built.module.named_parameters())
    torch.save({"model": built.module.state_dict(), "ema": parameters}, file)
    for load in (load_weights, start):
        with pytest.raises(SpdbuildError, match="weights are not in the file") as caught:
            load(built, FirstWeights(file))
        hint = (
            "there are also weights under 'model': --key model, or in a recipe weights: {file: ..., key: model} "
            "(from Python: key='model' in StoredWeights or import_weights)"
        )
        assert caught.value.problems[-1].hint == hint
    assert load_weights(built, FirstWeights(file, key="model")).taken_from == "model"


def test_one_of_two_networks_is_chosen(recipe: Path, tmp_path: Path) -> None:
    built, file = network(str(tmp_path / "tiny.yaml")), str(tmp_path / "w.pt")
    state = weights_of(built)
    torch.save({f"{side}.{name}": state[name] + (side == "b") for side in "ab" for name in state}, file)
    with pytest.raises(SpdbuildError, match="several networks that fit, under the prefixes 'a.', 'b.'"):
        start(built, FirstWeights(file))
    assert start(built, FirstWeights(file, prefix="b.")) == f"{len(state)} weights from {file}, behind 'b.'"
    assert torch.equal(weights_of(built)["head.bias"], state["head.bias"] + 1)


def test_a_run_that_started_so_is_resumed_without_the_file(recipe: Path, tmp_path: Path) -> None:
    file = tmp_path / "ten.safetensors"
    state = spdbuild.build(tmp_path / "tiny.yaml").state_dict()
    save_file(state | {"head.weight": torch.zeros(7, 16), "head.bias": torch.zeros(7)}, file)
    options = [f"weights={file}", "weights.fresh=[head]", "epochs=2"]
    whole = train(recipe, options, runs=tmp_path / "whole", quiet=True).folder
    part = train(recipe, [*options, "max_steps=8"], runs=tmp_path / "part", quiet=True).folder
    assert f"12 weights from {file}; fresh: head; not used: head.bias, head.weight" in (part / "log.txt").read_text()
    file.unlink()
    resume(part, ["max_steps=null"], quiet=True)
    assert (part / "log.txt").read_text().count("weights from") == 1
    for name in ("last", "best"):
        got, expected = (load_file(folder / "weights" / f"{name}.safetensors") for folder in (part, whole))
        assert all(torch.equal(tensor, got[key]) for key, tensor in expected.items())
    first, second = (load_state(folder / "state" / "state.pt") for folder in (part, whole))
    assert first.position["step"] == second.position["step"]


MESSAGES = {
    "one class count": (
        {"head.weight": (7, 16), "head.bias": (7,)},
        (),
        "weights.fresh=[head]",
    ),
    "beside the patterns that are given": (
        {"head.weight": (7, 16), "head.bias": (7,), "stem.weight": (8, 3, 5, 5)},
        ("head",),
        "weights.fresh=[stem, head]",
    ),
    "another network": ({"first": (1,)}, (), "see what the file holds: spdbuild weights show "),
    "more than the network": ({"auxiliary.weight": (3,)}, (), "write what fits to another file"),
}


@pytest.mark.parametrize(("tensors", "fresh", "hint"), MESSAGES.values(), ids=MESSAGES)
def test_the_hint_says_what_would_fit(
    recipe: Path, tmp_path: Path, tensors: dict[str, tuple[int, ...]], fresh: tuple[str, ...], hint: str
) -> None:
    built = network(str(tmp_path / "tiny.yaml"))
    known = {} if "first" in tensors else built.module.state_dict()
    save_file(known | {name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "w.safetensors")
    with pytest.raises(SpdbuildError) as caught:
        start(built, FirstWeights(str(tmp_path / "w.safetensors"), fresh=fresh))
    assert caught.value.problems[-1].hint.startswith(hint)


@pytest.mark.parametrize("fresh", [("head",), ()])
def test_weights_of_the_strided_network_are_to_be_carried_over(
    torchvision_resnet: dict[str, Tensor], tmp_path: Path, fresh: tuple[str, ...]
) -> None:
    built = network("resnet18", vars={"classes": 200}, passes=("strided_to_spd()",))
    with pytest.raises(SpdbuildError) as caught:
        start(built, FirstWeights(str(tmp_path / "resnet18.pth"), fresh=fresh))
    command = f"spdbuild convert ... --weights {tmp_path}/resnet18.pth -o ... --weights-out ..."
    hint = f"the file is of the strided network, whose weights are carried over by {command}"
    assert caught.value.problems[-1].hint == hint


def test_what_is_refused_leaves_the_network_as_it_was(recipe: Path, tmp_path: Path) -> None:
    built = network(str(tmp_path / "tiny.yaml"))
    before = weights_of(built)
    changed = {name: tensor + 1 for name, tensor in before.items()} | {"head.bias": torch.zeros(7)}
    save_file(changed, tmp_path / "w.safetensors")
    with pytest.raises(SpdbuildError):
        start(built, FirstWeights(str(tmp_path / "w.safetensors")))
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights_of(built).items())


def test_anchors_of_a_recipe_win_over_those_of_the_file(tmp_path: Path) -> None:
    trained = spdbuild.build(spdbuild.load("yolov5", variant="n", vars={"classes": 6}))
    save_file(trained.state_dict(), tmp_path / "coco.safetensors")
    text = "architecture: yolov5\nvariant: n\ndata: {name: tiny_objects, images: 8, size: 64}\nbatch: 4\nepochs: 1\n"
    text += f"max_steps: 1\nworkers: 0\ntask: {{anchors: {{check: false}}}}\nweights: {tmp_path}/coco.safetensors\n"
    levels = [[[4, 5], [8, 9], [12, 16]], [[20, 20], [30, 20], [20, 30]], [[40, 40], [50, 40], [40, 50]]]
    for overrides, first in (([], [10.0, 13.0]), ([f"vars.anchors={levels}"], [4.0, 5.0])):
        folder = train(text, overrides, runs=tmp_path, quiet=True).folder
        saved = load_file(folder / "weights" / "last.safetensors")["head.detect.anchors"]
        assert (saved[0, 0] * 8).tolist() == first
        assert ("as the recipe says: head.detect.anchors" in (folder / "log.txt").read_text()) == bool(overrides)

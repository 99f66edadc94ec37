"""Weights under the names of another library, as that library takes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file

import spdbuild
from spdbuild import Architecture
from spdbuild.conversion.verification import random_weights
from spdbuild.errors import ArgumentError, RunError, WeightsError
from spdbuild.weights import save_weights


@pytest.fixture
def resnet(tmp_path: Path) -> tuple[Architecture, Path]:
    """ResNet-18 for seven classes, and a file of weights as general as those of a trained one."""
    architecture = spdbuild.load("resnet18", vars={"classes": 7}, inputs=[(3, 64, 64)])
    save_weights(tmp_path / "w.st", random_weights(architecture.graph), {"classes": json.dumps(list("abcdefg"))})
    return architecture, tmp_path / "w.st"


@pytest.mark.parametrize("named", [True, False], ids=["network", "file"])
def test_torchvision_takes_the_weights(resnet: tuple[Architecture, Path], tmp_path: Path, named: bool) -> None:
    architecture, weights = resnet
    like: str | Path = "torchvision:resnet18"
    if not named:
        like = tmp_path / "theirs.pt"
        torch.save(torchvision.models.resnet18().state_dict(), like)
    state, _ = spdbuild.export_weights(architecture, like, tmp_path / "theirs.st", weights=weights)
    module = torchvision.models.resnet18(num_classes=7).double().eval()
    module.load_state_dict(load_file(tmp_path / "theirs.st"), strict=True)
    assert list(state) == list(module.state_dict())
    images = torch.rand(2, 3, 64, 64).double()
    ours = spdbuild.build(architecture, weights).double().eval()
    torch.testing.assert_close(module(images), ours(images))
    with safe_open(tmp_path / "theirs.st", "pt") as file:
        assert json.loads(file.metadata()["classes"]) == list("abcdefg")


def test_the_file_with_the_names_may_be_a_checkpoint(resnet: tuple[Architecture, Path], tmp_path: Path) -> None:
    theirs = {f"net.{name}": tensor for name, tensor in torchvision.models.resnet18().state_dict().items()}
    torch.save({"state_dict": theirs, "epoch": 3}, tmp_path / "theirs.pt")
    state, report = spdbuild.export_weights(resnet[0], tmp_path / "theirs.pt", weights=resnet[1])
    assert (list(state), report.prefix, report.taken_from) == (list(theirs), "net.", "state_dict")


@pytest.mark.parametrize("parallel", [False, True], ids=["averaged", "averaged in parallel"])
def test_an_averaged_model_takes_the_weights(resnet: tuple[Architecture, Path], tmp_path: Path, parallel: bool) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(torchvision.models.resnet18(num_classes=7))
    averaged.n_averaged.fill_(4)
    theirs = torch.nn.ModuleDict({"module": averaged}) if parallel else averaged
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    spdbuild.export_weights(resnet[0], tmp_path / "theirs.pt", tmp_path / "out.st", weights=resnet[1])
    theirs.load_state_dict(load_file(tmp_path / "out.st"), strict=True)
    assert averaged.n_averaged.item() == 4
    assert torch.equal(averaged.module.conv1.weight, load_file(resnet[1])["stem.conv.weight"])
    state, _ = spdbuild.import_weights(tmp_path / "out.st", resnet[0])
    assert torch.equal(state["stem.conv.weight"], averaged.module.conv1.weight)


def test_names_of_two_networks_are_none(resnet: tuple[Architecture, Path], tmp_path: Path) -> None:
    theirs = torchvision.models.resnet18().state_dict()
    torch.save({f"{side}.{name}": theirs[name] for side in "ab" for name in theirs}, tmp_path / "theirs.pt")
    with pytest.raises(
        WeightsError, match=r"theirs.pt: the file holds several .* under the prefixes 'a\.', 'b\.'"
    ) as e:
        spdbuild.export_weights(resnet[0], tmp_path / "theirs.pt", weights=resnet[1])
    assert e.value.problems[0].hint == "save the state_dict of one of them, and give that file"


def test_another_network_is_told_by_its_first_tensor(resnet: tuple[Architecture, Path]) -> None:
    message = "torchvision:resnet34: the network has nothing that would be 'layer1.2.conv1.weight'; 95 more differ"
    with pytest.raises(WeightsError, match=message):
        spdbuild.export_weights(resnet[0], "torchvision:resnet34", weights=resnet[1])


def test_the_same_tensors_in_another_network_are_not_written(resnet: tuple[Architecture, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(resnet[0].text.replace("relu()", "silu()"))
    architecture = spdbuild.load(other, vars={"classes": 7}, inputs=[(3, 64, 64)])
    with pytest.raises(RunError, match="torchvision:resnet18 has the same tensors, but its logits differ by"):
        spdbuild.export_weights(architecture, "torchvision:resnet18", tmp_path / "theirs.st", weights=resnet[1])
    assert not (tmp_path / "theirs.st").exists()


def test_a_detector_has_no_names_of_a_classifier(networks: Path) -> None:
    with pytest.raises(ArgumentError, match="torchvision:resnet18 takes one image and gives logits, and finder does"):
        spdbuild.export_weights(networks / "finder.yaml", "torchvision:resnet18", weights=networks / "finder.st")


def test_a_converted_network_goes_back_once_it_is_folded(resnet: tuple[Architecture, Path], tmp_path: Path) -> None:
    strided, weights = resnet
    converted, report = spdbuild.convert(strided, pool="keep")
    save_weights(tmp_path / "spd.st", spdbuild.transfer(report, load_file(weights)))
    with pytest.raises(WeightsError, match="torchvision:resnet18: 'conv1.weight' is 64x3x7x7") as caught:
        spdbuild.export_weights(converted, "torchvision:resnet18", weights=tmp_path / "spd.st")
    assert "fold them first, by `spdbuild fold ... --keep-norms " in caught.value.problems[0].hint
    folding = spdbuild.fold(converted, tmp_path / "spd.st", fuse=False)
    (tmp_path / "folded.yaml").write_text(folding.text())
    save_weights(tmp_path / "folded.st", folding.flat_weights())
    state, _ = spdbuild.export_weights(tmp_path / "folded.yaml", "torchvision:resnet18", weights=tmp_path / "folded.st")
    theirs, _ = spdbuild.export_weights(strided, "torchvision:resnet18", weights=weights)
    assert state.keys() == theirs.keys()
    assert all(torch.equal(state[name], theirs[name]) for name in theirs)

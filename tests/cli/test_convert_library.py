"""`spdbuild convert torchvision:NAME`: with YAML where the network can be written, without where it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torchvision
from torchvision.models import shufflenet_v2_x0_5, squeezenet1_1

import spdbuild
from spdbuild.weights import file_sha256, open_weights, read_weights, save_weights


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)


def test_the_written_network_computes_what_the_library_does(run):
    module = squeezenet1_1().eval()
    save_weights("theirs.safetensors", module.state_dict())
    result = run(
        *("convert", "torchvision:squeezenet1_1", "--input", "3,64,64", "--pool", "keep"),
        *("--weights", "theirs.safetensors", "-o", "new.yaml", "--weights-out", "new.safetensors"),
    )
    assert result.exit_code == 0, result.output
    model = spdbuild.build("new.yaml", "new.safetensors").eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), module(x))
    assert "spd_conv2d" in Path("new.yaml").read_text()


@pytest.mark.parametrize("name", ["squeezenet1_1", "shufflenet_v2_x0_5"], ids=["as YAML", "as a module"])
def test_the_written_weights_name_the_file_that_was_given(run, name: str):
    module = torchvision.models.get_model(name)
    torch.save({"model": module.state_dict(), "names": [f"kind {k}" for k in range(1000)]}, "theirs.pth")
    arguments = ("convert", f"torchvision:{name}", "--input", "3,64,64", "--pool", "keep")
    result = run(*arguments, "--weights", "theirs.pth", "--weights-out", "new.safetensors")
    assert result.exit_code == 0, result.output
    told = open_weights("new.safetensors").metadata
    origin = {key: text for key, text in told.items() if key.startswith("source")}
    assert origin == {"source": "theirs.pth", "source_sha256": file_sha256("theirs.pth"), "source_key": "model"}
    if name == "squeezenet1_1":
        assert json.loads(told["names"])[:2] == ["kind 0", "kind 1"]
    assert run(*arguments, "--weights-out", "random.safetensors").exit_code == 0
    told = open_weights("random.safetensors").metadata
    assert (told["source"], "source_sha256" in told) == (f"torchvision:{name}", False)


def test_the_weights_that_are_read_are_not_overwritten(run):
    save_weights("w.safetensors", squeezenet1_1().state_dict())
    before = Path("w.safetensors").read_bytes()
    arguments = ("convert", "torchvision:squeezenet1_1", "--input", "3,64,64")
    result = run(*arguments, "--weights", "w.safetensors", "--weights-out", "w.safetensors")
    assert (result.exit_code, Path("w.safetensors").read_bytes()) == (2, before)
    assert "w.safetensors is the file that is converted" in result.stderr


def test_random_weights_are_said_to_be_so(run):
    result = run("convert", "torchvision:squeezenet1_1", "--input", "3,64,64", "--weights-out", "new.safetensors")
    assert result.exit_code == 0, result.output
    assert "torchvision:squeezenet1_1 has random weights" in result.stderr
    assert spdbuild.load(result.stdout).graph.parameters == sum(
        t.numel() for t in read_weights("new.safetensors").values()
    )


def test_a_flat_file_is_said_to_be_one_and_its_weights_fit(run):
    arguments = ("--input", "3,64,64", "--placement", "after", "--pool", "keep", "-o", "new.yaml")
    result = run("convert", "torchvision:regnet_y_400mf", *arguments, "--weights-out", "new.safetensors")
    assert result.exit_code == 0, result.output
    assert (
        "the file has one line a layer, under flat names, because the old lines could not be rewritten" in result.stdout
    )
    assert "nor does it extend the old file: there is no file to extend" in result.stdout
    spdbuild.build("new.yaml", "new.safetensors")


def test_a_network_that_cannot_be_written_is_converted_as_a_module(run):
    module = shufflenet_v2_x0_5().eval()
    save_weights("theirs.safetensors", module.state_dict())
    result = run(
        *("convert", "torchvision:shufflenet_v2_x0_5", "--input", "3,64,64", "--pool", "keep", "--json"),
        *("--weights", "theirs.safetensors", "--weights-out", "new.safetensors"),
    )
    assert result.exit_code == 0, result.output
    assert "there is no YAML, because torchvision:shufflenet_v2_x0_5 cannot be written in our language" in result.stderr
    report = json.loads(result.stdout)
    assert (len(report["replaced"]), len(report["kept"]), report["unseen"]) == (7, 1, [])
    assert report["error"] < 1e-5
    converted, _ = spdbuild.convert_module(module, torch.zeros(1, 3, 64, 64), pool="keep")
    written = read_weights("new.safetensors")
    assert all(torch.equal(written[name], tensor) for name, tensor in converted.state_dict().items())


def test_the_report_of_a_module_is_a_table(run):
    result = run("convert", "torchvision:shufflenet_v2_x0_5", "--input", "3,64,64")
    assert result.exit_code == 0, result.output
    assert "stage2.0.branch1.0" in result.stdout
    assert "3x3/2 -> 2x2 of 2x2 pixels" in result.stdout
    assert "8 replaced, 0 kept, 0 not seen" in result.stdout


def test_the_report_of_a_module_is_markdown_when_asked_for(run):
    result = run("convert", "torchvision:shufflenet_v2_x0_5", "--input", "3,64,64", "--markdown")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("| replaced | op | kernel | params | MACs | exact |\n| --- | --- |")
    assert "\n\n- 8 replaced, 0 kept, 0 not seen" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["torchvision:shufflenet_v2_x0_5", "-o", "new.yaml"], "cannot be written in our language: stage2.0 cannot be"),
        (["torchvision:shufflenet_v2_x0_5", "--preset", "paper"], "without --preset the module is converted as it is"),
        (["torchvision:shufflenet_v2_x0_5", "--placement", "after"], "placement must be 'before' for a module"),
        (["torchvision:shufflenet_v2_x0_5", "--variant", "s"], "without --variant the module is converted as it is"),
        (["torchvision:shufflenet_v2_x0_5", "--var", "classes=2"], "without --var the module is converted as it is"),
        (
            ["torchvision:shufflenet_v2_x0_5", "--lossy", "--weights-out", "w.safetensors"],
            "without --lossy the module is converted as it is",
        ),
        (["torchvision:squeezenet1_1", "--lossy"], "--calibrate and --lossy need --weights-out"),
        (["torchvision:squeezenet1_1", "--calibrate", "photos"], "--calibrate and --lossy need --weights-out"),
        (["torchvision:squeezenet1_1", "--weights", "w.safetensors"], "--weights-out is missing"),
        (["torchvision:squeezenet1_1", "--input", "3,64,64"], "takes one image, got 2 shapes"),
        (["torchvision:resnet5"], "torchvision has no classification network 'resnet5'"),
        (["squeezenet.yaml", "--weights-out", "w.safetensors"], "--weights is missing"),
    ],
)
def test_what_cannot_be_done_is_said(run, arguments: list[str], message: str):
    result = run("convert", *arguments, "--input", "3,224,224")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert not list(Path().iterdir())

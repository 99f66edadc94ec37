"""`spdbuild import`: networks of libraries and files of rows, and what it says where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import squeezenet1_1

import spdbuild
from spdbuild.weights import file_sha256, open_weights, read_weights, save_weights

pytestmark = pytest.mark.usefixtures("own_folder")

ROWS = """\
nc: 2
anchors: [[8,8, 16,16]]
backbone: [[-1, 1, Conv, [8, 3, 2]], [-1, 1, C3, [8]]]
head: [[[-1], 1, Detect, [nc, anchors]]]
"""


def test_a_network_of_torchvision_with_the_weights_of_a_file(run):
    torch.manual_seed(0)
    module = squeezenet1_1().eval()
    save_weights("theirs.safetensors", module.state_dict())
    result = run(
        *("import", "torchvision:squeezenet1_1", "--input", "3,64,64", "--weights", "theirs.safetensors"),
        *("-o", "mine.yaml", "--weights-out", "mine.safetensors"),
    )
    assert result.exit_code == 0, result.output
    assert "1,235,496 parameters, relative error 0.0e+00" in result.stderr
    assert result.stdout == ""
    x = torch.randn(1, 3, 64, 64)
    model = spdbuild.build("mine.yaml", "mine.safetensors").eval()
    with torch.no_grad():
        torch.testing.assert_close(model(x), module(x))
    assert read_weights("mine.safetensors").keys() == model.state_dict().keys()
    told = open_weights("mine.safetensors").metadata
    assert (told["source"], told["source_sha256"]) == ("theirs.safetensors", file_sha256("theirs.safetensors"))


def test_yaml_goes_to_stdout(run):
    result = run("import", "torchvision:squeezenet1_1", "--input", "3,64,64")
    assert spdbuild.load(result.stdout).graph.parameters == 1235496
    assert not list(Path().iterdir())


def test_a_file_of_rows(run):
    Path("rows.yaml").write_text(ROWS)
    result = run("import", "rows.yaml", "-o", "mine.yaml", "--input", "3,64,64")
    assert result.exit_code == 0, result.output
    assert spdbuild.load("mine.yaml").graph["backbone.out1.fuse.conv"].shape == (8, 32, 32)
    assert run("check", "mine.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["torchvision:resnet5"], "torchvision has no classification network 'resnet5'"),
        (["torchvision:swin_t"], "features.1.0.attn cannot be imported: there is no op for torchvision.models.swin"),
        (["keras:vgg16"], "'keras:vgg16' cannot be imported"),
        (["missing.yaml"], "missing.yaml:1:1: error: there is no such file"),
        (["ours.yaml"], "ours.yaml is not a file of rows"),
        (["rows.yaml", "--weights-out", "w.safetensors"], "a file of rows has no weights"),
        (["rows.yaml", "--input", "3,64,32"], "--input of a file of rows must be square, got 3,64,32"),
        (["torchvision:squeezenet1_1", "--weights", "no.safetensors"], "no.safetensors"),
        (["torchvision:squeezenet1_1", "--input", "3,4,4"], "SqueezeNet cannot be run on (1, 3, 4, 4)"),
    ],
)
def test_what_cannot_be_imported_is_said_and_nothing_is_written(run, arguments: list[str], message: str):
    Path("rows.yaml").write_text(ROWS)
    Path("ours.yaml").write_text("model: a\ninputs: {x: [3, 4, 4]}\nlayers: [relu()]\n")
    before = set(Path().iterdir())
    result = run("import", *arguments, "-o", "new.yaml")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert set(Path().iterdir()) == before


def test_parts_that_evaluation_does_not_read_are_named(run):
    result = run("import", "torchvision:googlenet", "--input", "3,64,64", "-o", "mine.yaml")
    assert result.exit_code == 0, result.output
    assert "not used in evaluation: aux1.conv.conv.weight" in result.stderr

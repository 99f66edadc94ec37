"""`spdbuild export`: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import spdbuild
from spdbuild.weights import save_weights

#: Random taps fill whole blocks, so a kernel of 2x2 blocks is one of 4x4 pixels.
#: Parameters: 3*4*9 + 4 + 4*8*16 + 8 + 8*8*4 + 8*10 + 10; MACs: 108*64 + 512*16 + 256*4 + 80.
PARAMETERS, MACS = 978, 16_208


@pytest.fixture
def converted(run, tiny: Path) -> Path:
    """The converted file, with random weights w.st."""
    run("convert", tiny, "-o", "spd.yaml")
    torch.manual_seed(0)
    save_weights(Path("w.st"), spdbuild.build("spd.yaml").state_dict())
    return Path("spd.yaml")


def test_it_says_what_it_wrote_and_how_near_it_is(run, converted: Path):
    result = run("export", converted, "--weights", "w.st", "-o", "a.pt2", "--dynamic")
    assert (result.exit_code, result.stderr) == (0, "")
    first, *lines, last = result.stdout.splitlines()
    assert first.startswith("a.pt2: pt2, ")
    assert lines == [
        "image [N, 3, 8, 8] -> logits [N, 10]",
        "2 layers folded, 2 norms fused, 0 kept",
        f"parameters  {PARAMETERS}",
        "MACs        16.208 k",
    ]
    assert last.startswith("same as the network on 3 random inputs: largest difference ")
    assert last.endswith(", tolerance 0.0001")


def test_what_may_differ_between_calls_is_shown(run, converted: Path):
    result = run("export", converted, "--weights", "w.st", "-o", "a.pt2", "--any-size", "--input", "3,16,8")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1] == "image [1, 3, 4*height, 4*width] -> logits [1, 10]"


def test_json_is_all_that_stdout_has(run, converted: Path):
    result = run("export", converted, "--weights", "w.st", "--batch", "2", "--opset", "18", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert 0 < document.pop("max_abs_difference") < 1e-5
    assert 0 < document.pop("max_rel_difference") < 1e-5
    assert document.pop("metadata")["architecture"] == "tiny_spd"
    assert document == {
        "file": "spd.onnx",
        "format": "onnx",
        "opset": 18,
        "input": [3, 8, 8],
        "outputs": {"logits": [10]},
        "batch": 2,
        "dynamic": False,
        "cell": None,
        "params": PARAMETERS,
        "macs": MACS,
        "folded": ["down.conv", "pool"],
        "fused": ["stem.norm", "down.norm"],
        "tolerance": 0.0001,
        "runs": 3,
    }
    assert Path("spd.onnx").exists()


def test_a_difference_ends_with_1_and_leaves_no_file(run, converted: Path):
    result = run("export", converted, "--weights", "w.st", "-o", "a.pt2", "--tolerance", "0")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: a.pt2 was not written: it differs from the network by ")
    assert result.stderr.endswith(", more than 0\n")
    assert not list(Path().glob("*a.pt2*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["spd.yaml"],
            "error: only a trained network is worth a file, and tiny_spd comes without weights\n"
            "      = hint: give them with --weights (from Python: weights=...), or name the folder of a run\n",
        ),
        (
            ["spd.yaml", "--weights", "w.st", "--batch", "2", "--dynamic"],
            "error: --batch and --dynamic say both how many images a call has\n      = hint: leave one of them out\n",
        ),
        (
            ["spd.yaml", "--weights", "w.st", "--to", "tflite"],
            "error: there is no format 'tflite'\n      = hint: known: onnx, pt2\n",
        ),
        (
            [".", "--variant", "s"],
            "error: . is a run, and has the network that it trained\n      = hint: leave --variant and --var out\n",
        ),
    ],
    ids=["no weights", "two batches", "unknown format", "variant of a run"],
)
def test_what_cannot_be_is_refused(run, converted: Path, arguments: list[str], message: str):
    result = run("export", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message)


def test_weights_of_another_network_are_refused(run, tiny: Path, converted: Path):
    result = run("export", tiny, "--weights", "w.st", "-o", "a.pt2")
    assert result.exit_code == 2
    assert "w.st" in result.stderr
    assert not Path("a.pt2").exists()


@pytest.mark.slow
def test_a_run_is_exported_with_what_its_recipe_knows(
    run, digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    monkeypatch.chdir(tmp_path)
    Path("digits.yaml").write_text(digits)
    Path("small.yaml").write_text(
        'architecture: digits.yaml\npasses: ["strided_to_spd()"]\ndata: {name: digits}\n'
        "preprocess: [{name: resize, size: 12}, {name: normalize, statistics: half}]\nepochs: 1\nworkers: 0\n"
    )
    trained = run("train", "small.yaml", "--quiet")
    assert trained.exit_code == 0, trained.stderr
    result = run("export", "runs/small", "--to", "pt2", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["file"] == "small.pt2"
    assert document["folded"] == ["stem"]
    assert document["metadata"]["task"] == "classification"
    assert document["metadata"]["classes"] == list("0123456789")
    assert document["metadata"]["preprocess"] == [
        {"name": "resize", "how": "squash", "size": [8, 8], "filter": "bilinear, antialiased"},
        {"name": "resize", "size": 12},
        {"name": "divide", "by": 255},
        {"name": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    ]

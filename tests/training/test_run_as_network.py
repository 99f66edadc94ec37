"""The folder of a run in place of an architecture: commands and calls about networks take what it has trained."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import spdbuild
from spdbuild.cli import spdbuild as group
from spdbuild.errors import InputError
from spdbuild.training.running.run import train
from spdbuild.weights.facts import Facts

TEXT = """architecture: cifar_resnet20
data: {name: digits}
passes: [strided_to_spd()]
epochs: 1
max_steps: 1
workers: 0
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(TEXT, runs=tmp_path_factory.mktemp("runs"), quiet=True).folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_summary_and_show_tell_of_the_network_with_its_classes_and_its_input(trained: Path) -> None:
    costs = json.loads(run("summary", trained, "--json").stdout)
    summary = json.loads((trained / "report" / "summary.json").read_text())
    assert (costs["params"], costs["macs"], costs["input"]) == (summary["parameters"], summary["macs"], [3, 8, 8])
    assert "spd_conv2d" in run("show", trained).stdout
    assert json.loads(run("summary", trained, "--input", "3,16,16", "--json").stdout)["input"] == [3, 16, 16]


def test_a_run_is_compared_and_drawn(trained: Path, tmp_path: Path) -> None:
    before = json.loads(run("diff", trained, trained, "--json").stdout)
    assert before["before"] == before["after"]
    assert run("draw", trained, "-o", tmp_path / "net.svg").exit_code == 0


def test_a_run_has_the_network_that_it_trained(trained: Path) -> None:
    result = run("summary", trained, "--var", "classes=3")
    assert result.exit_code == 2
    assert "is a run, and has the network that it trained" in result.stderr


def test_a_trained_model_is_one_call(trained: Path) -> None:
    loaded = spdbuild.load_model(trained)
    assert loaded.classes == tuple("0123456789")
    assert not loaded.model.training
    with torch.inference_mode():
        assert loaded.model(torch.zeros(2, *loaded.input)).shape == (2, 10)


def test_python_takes_a_run_as_the_commands_do(trained: Path, tmp_path: Path) -> None:
    architecture = spdbuild.load(trained, inputs=[(3, 16, 16)])
    assert [tuple(node.shape) for node in architecture.graph.inputs] == [(3, 16, 16)]
    assert spdbuild.summary(trained).parameters == spdbuild.load_model(trained).parameters
    assert all(pair.equal for pair in spdbuild.diff(trained, str(trained)))
    assert run("draw", trained, "-o", tmp_path / "net.svg").exit_code == 0
    assert spdbuild.draw(trained) == (tmp_path / "net.svg").read_text()
    with pytest.raises(InputError, match="is a run, and has the network that it trained"):
        spdbuild.load(trained, vars={"classes": 3})


def test_python_folds_a_run_with_its_best_weights_or_those_of_a_file(trained: Path) -> None:
    folded = spdbuild.fold(trained)
    best = trained / "weights" / "best.safetensors"
    assert folded.weights is not None
    for weights in (best, str(best), spdbuild.load_model(trained).model.state_dict()):
        again = spdbuild.fold(spdbuild.load(trained), weights)
        assert again.graph == folded.graph
        assert again.weights is not None
        assert all(torch.equal(again.weights[name], tensor) for name, tensor in folded.weights.items())


def test_a_run_is_converted_with_its_best_weights(tmp_path: Path) -> None:
    strided = train(TEXT, ["passes=[]"], runs=tmp_path / "runs", quiet=True).folder
    network, weights = tmp_path / "spd.yaml", tmp_path / "spd.safetensors"
    done = run("convert", strided, "-o", network, "--weights-out", weights)
    assert (done.exit_code, "4 replaced, 0 kept" in done.stdout) == (0, True)
    assert run("verify", strided, network, "--weights-b", weights).exit_code == 0
    assert Facts.of(weights).classes == tuple("0123456789")
    refused = run("convert", strided, "-o", strided / "architecture.yaml")
    assert (refused.exit_code, "is the file that is converted" in refused.stderr) == (2, True)
    assert "is a run, and has the network that it trained" in run("convert", strided, "--var", "classes=3").stderr


@pytest.mark.parametrize(
    "command",
    [
        ("convert", "-o", "new.yaml", "--weights-out"),
        ("fold", "-o", "new.yaml", "--weights-out"),
        ("weights", "export", "--like", "theirs.st", "-o"),
    ],
    ids=" ".join,
)
def test_the_weights_of_a_run_are_not_overwritten_with_those_of_another_network(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    best = trained / "weights" / "best.safetensors"
    before = best.read_bytes()
    (tmp_path / "theirs.st").write_bytes(before)
    names = command[:2] if command[0] == "weights" else command[:1]
    refused = run(*names, trained, *command[len(names) :], best)
    assert (refused.exit_code, f"{best} is the file that is converted" in refused.stderr) == (2, True)
    assert best.read_bytes() == before
    assert not (tmp_path / "new.yaml").exists()


@pytest.mark.parametrize("call", [spdbuild.build, spdbuild.check, spdbuild.convert])
def test_a_call_that_takes_no_run_names_one_that_does(trained: Path, call: Callable[[Path], object]) -> None:
    with pytest.raises(InputError, match=re.escape(f"spdbuild.load_model('{trained}').model has its weights")):
        call(trained)


def test_to_train_a_run_once_more_is_to_resume_it(trained: Path) -> None:
    refused = run("train", trained)
    assert (refused.exit_code, f"hint: `spdbuild train --resume {trained}`" in refused.stderr) == (2, True)

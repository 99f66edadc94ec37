"""One of several networks in a file is chosen wherever a command reads weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import spdbuild
from spdbuild.weights import save_weights

CHOICES = {"key": ("keyed.pt", "model", "ema"), "prefix": ("both.pt", "student.", "teacher.")}

#: Commands that write weights, and the option for their file.
COMMANDS = [
    (["fold", "tiny.yaml", "-o", "new.yaml"], "--weights-out"),
    (["convert", "tiny.yaml", "-o", "new.yaml"], "--weights-out"),
    (["weights", "export", "tiny.yaml", "--like", "wanted.st"], "-o"),
]


@pytest.fixture
def files(tiny: Path) -> Path:
    """tiny.yaml; wanted.st, and two checkpoints in which its weights lie beside those of another tiny."""
    torch.manual_seed(0)
    wanted, other = (spdbuild.build(tiny).state_dict() for _ in range(2))
    save_weights("wanted.st", wanted)
    torch.save({"model": wanted, "ema": other}, "keyed.pt")
    sides = {"student.": wanted, "teacher.": other}
    torch.save({prefix + name: tensor for prefix, state in sides.items() for name, tensor in state.items()}, "both.pt")
    return tiny


def metadata(file: str) -> dict[str, str]:
    with safe_open(file, "pt") as opened:
        told: dict[str, str] = opened.metadata()
    return told


@pytest.mark.parametrize("option", CHOICES)
@pytest.mark.parametrize(("command", "output"), COMMANDS, ids=["fold", "convert", "weights export"])
def test_the_weights_that_are_written_are_those_of_the_chosen_network(
    run, files: Path, command: list[str], output: str, option: str
):
    file, value, _ = CHOICES[option]
    expected = run(*command, "--weights", "wanted.st", output, "expected.st")
    assert expected.exit_code == 0, expected.stderr
    result = run(*command, "--weights", file, f"--{option}", value, output, "got.st")
    assert result.exit_code == 0, result.stderr
    got, wanted = load_file("got.st"), load_file("expected.st")
    assert got.keys() == wanted.keys()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in got.items())
    assert metadata("got.st")[f"source_{option}"] == value
    assert f"source_{option}" not in metadata("expected.st")


@pytest.mark.parametrize("option", CHOICES)
def test_the_chosen_network_is_exported(run, files: Path, option: str):
    file, value, _ = CHOICES[option]
    result = run("export", files, "--weights", file, f"--{option}", value, "-o", "a.pt2", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["metadata"]["weights"] == file
    x = torch.randn(1, 3, 8, 8)
    expected = spdbuild.build(files, "wanted.st").eval()(x)
    torch.testing.assert_close(torch.export.load("a.pt2").module()(x), expected, rtol=1e-4, atol=1e-5)


def test_where_weights_were_found_is_written_if_nothing_is_chosen(run, files: Path):
    wrapped = {f"module.{name}": tensor for name, tensor in load_file("wanted.st").items()}
    torch.save({"model": wrapped}, "wrapped.pt")
    for command, output in COMMANDS:
        result = run(*command, "--weights", "wrapped.pt", output, "got.st")
        assert result.exit_code == 0, result.stderr
        told = metadata("got.st")
        assert (told["source"], told["source_key"], told["source_prefix"]) == ("wrapped.pt", "model", "module.")
    result = run("export", files, "--weights", "wrapped.pt", "-o", "a.pt2", "--json")
    card = json.loads(result.stdout)["metadata"]
    assert (card["weights"], card["weights_key"], card["weights_prefix"]) == ("wrapped.pt", "model", "module.")


@pytest.mark.parametrize("option", CHOICES)
@pytest.mark.parametrize("side", ["a", "b"])
def test_either_side_of_a_comparison_is_chosen(run, files: Path, option: str, side: str):
    file, same, other = CHOICES[option]
    beside = {"a": "b", "b": "a"}[side]
    words = ("verify", files, files, f"--weights-{beside}", "wanted.st", f"--weights-{side}", file)
    assert run(*words, f"--{option}-{side}", same).exit_code == 0
    assert run(*words, f"--{option}-{side}", other).exit_code == 1


@pytest.mark.parametrize("side", ["a", "b"])
def test_a_comparison_names_its_own_options(run, files: Path, side: str):
    beside = {"a": "b", "b": "a"}[side]
    words = ("verify", files, files, f"--weights-{beside}", "wanted.st", f"--weights-{side}", "both.pt")
    result = run(*words)
    assert result.exit_code == 2
    assert f"= hint: choose one: --prefix-{side} student., or in a recipe " in result.stderr


@pytest.mark.parametrize("command", [["fold"], ["convert"], ["export"], ["eval"], ["predict"], ["weights", "export"]])
def test_a_choice_needs_a_file(run, files: Path, command: list[str]):
    for option in CHOICES:
        result = run(*command, files, f"--{option}", "model", *(["--like", "wanted.st"] * (command[0] == "weights")))
        assert result.exit_code == 2
        assert f"--{option} needs --weights" in result.stderr


def test_the_hint_of_a_file_with_two_networks_works_as_it_is_written(run, files: Path):
    refused = run("fold", files, "--weights", "both.pt")
    assert refused.exit_code == 2
    advised = refused.stderr.partition("choose one: ")[2].partition(",")[0].split()
    assert advised == ["--prefix", "student."]
    assert run("fold", files, "--weights", "both.pt", *advised).exit_code == 0

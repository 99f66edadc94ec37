"""`spdbuild show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import spdbuild

SHOWN = """\
node             op                            inputs           shape
image            input                                          3x8x8
stem.conv        conv2d(4, kernel=3)           image            4x8x8
stem.norm        batch_norm()                  stem.conv        4x8x8
relu             relu()                        stem.norm        4x8x8
down.conv        conv2d(8, kernel=3, stride=2)  relu             8x4x4
down.norm        batch_norm()                  down.conv        8x4x4
pool             max_pool(2, stride=2)         down.norm        8x2x2
global_avg_pool  global_avg_pool()             pool             8
head             linear(10)                    global_avg_pool  10
"""
FLAT = """\
model: tiny
inputs: {image: [3, 8, 8]}
layers:
  - stem_conv: conv2d(4, kernel=3)
  - stem_norm: batch_norm()
  - relu: relu()
  - down_conv: conv2d(8, kernel=3, stride=2)
  - down_norm: batch_norm()
  - pool: max_pool(2, stride=2)
  - global_avg_pool: global_avg_pool()
  - head: linear(10)
"""


def test_every_node_is_a_line(run, tiny: Path):
    result = run("show", tiny)
    assert [line.split() for line in result.stdout.splitlines()] == [line.split() for line in SHOWN.splitlines()]


def test_the_flat_text_is_the_same_network(run, tiny: Path):
    result = run("show", tiny, "--text")
    assert result.stdout == FLAT
    assert spdbuild.summary(result.stdout).macs == 11_600


def test_json_has_every_node(run, tiny: Path):
    document = json.loads(run("show", tiny, "--json").stdout)
    assert (document["name"], document["outputs"]) == ("tiny", ["head"])
    assert document["nodes"][5] == {
        "name": "down.norm",
        "op": "batch_norm",
        "call": "batch_norm()",
        "inputs": ["down.conv"],
        "shapes": [[8, 4, 4]],
        "params": 16,
        "macs": 0,
    }


def test_of_a_recipe_all_values_are_shown(run, tiny: Path):
    Path("recipe.yaml").write_text("architecture: resnet50\ndata: {name: digits}\nepochs: 7\n")
    lines = run("show", "recipe.yaml").stdout.splitlines()
    assert {"architecture: resnet50", "epochs: 7", "seed: 0", "precision: auto"} <= set(lines)
    assert json.loads(run("show", "recipe.yaml", "--json").stdout)["epochs"] == 7


def test_an_unknown_name_suggests_the_nearest(run):
    result = run("show", "resnet500")
    assert result.exit_code == 2
    assert "hint: did you mean 'resnet50'?" in result.stderr


def test_of_a_recipe_the_changed_values_are_shown(run, tiny: Path):
    Path("recipe.yaml").write_text("architecture: resnet50\ndata: {name: digits}\nepochs: 7\npatience: 3\n")
    shown = json.loads(run("show", "recipe.yaml", "--json", "epochs=9", "~patience").stdout)
    assert (shown["epochs"], shown["patience"]) == (9, None)


def test_an_architecture_has_no_keys_to_change(run, tiny: Path):
    result = run("show", str(tiny), "epochs=9")
    assert result.exit_code == 2
    assert f"Error: 'epochs=9' changes a recipe, and {tiny} is an architecture: use --var or --variant" in result.stderr


@pytest.mark.parametrize("option", [["--variant", "s"], ["--var", "classes=3"], ["--input", "3,8,8"], ["--text"]])
def test_a_recipe_has_no_options_of_an_architecture(run, tiny: Path, option: list[str]):
    Path("recipe.yaml").write_text("architecture: resnet50\ndata: {name: digits}\nepochs: 7\n")
    result = run("show", "recipe.yaml", *option)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "are for architectures, and recipe.yaml is a recipe: use KEY.PATH=VALUE" in result.stderr


def test_the_flat_text_imports_what_its_ops_need_from_wherever_it_is(run, own: Path):
    Path("derived.yaml").write_text("model: derived\nextends: own.yaml\n")
    for name in (own, "derived.yaml"):
        text = run("show", name, "--text", "--allow-imports").stdout
        assert f"imports: [{Path('own_ops.py').resolve()}]" in text
        Path("sub/flat.yaml").write_text(text)
        assert run("check", "sub/flat.yaml", "--allow-imports").stdout == "sub/flat.yaml: ok, parameters: 108\n"

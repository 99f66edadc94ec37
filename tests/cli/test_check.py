"""`spdbuild check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

VARIANTS = """\
model: two
inputs: {image: [3, 8, 8]}
variants:
  small: {width: 4}
  large: {width: 8}
layers:
  - conv: conv2d(width)
expect: {parameters: {small: 12, large: 25}, macs: 768}
"""


def test_every_file_that_comes_with_the_package_is_right(run):
    files = sorted((ROOT / "architectures").glob("*.yaml"))
    assert len(files) > 5
    result = run("check", *files)
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == len(files)


def test_a_file_that_is_right_takes_one_line(run, tiny: Path):
    result = run("check", tiny, "resnet50")
    assert result.stdout == "tiny.yaml: ok, parameters: 510\nresnet50: ok, parameters: 25,557,032\n"


def test_the_mistakes_of_all_files_are_shown(run, tiny: Path):
    Path("two.yaml").write_text(VARIANTS)
    Path("broken.yaml").write_text("model: [\n")
    result = run("check", "two.yaml", tiny, "broken.yaml", "resnet500")
    assert result.exit_code == 2
    assert result.stdout == "tiny.yaml: ok, parameters: 510\n"
    assert result.stderr == (
        "two.yaml:8:34: error: two large has 24 parameters, but 25 are expected here\n"
        "    8 | expect: {parameters: {small: 12, large: 25}, macs: 768}\n"
        "      |                                  ^\n"
        "\n"
        "two.yaml:8:46: error: two large has 1,536 MACs, but 768 are expected here\n"
        "    8 | expect: {parameters: {small: 12, large: 25}, macs: 768}\n"
        "      |                                              ^\n"
        "\n"
        "broken.yaml:1:8: error: this is not YAML: this [ is never closed\n"
        "    1 | model: [\n"
        "      |        ^\n"
        "      = hint: write ] after its last entry\n"
        "\n"
        "error: there is no architecture or recipe 'resnet500': neither a file nor a built-in name\n"
        "      = hint: did you mean 'resnet50'?\n"
        "\n"
        "3 of 4 files have mistakes\n"
    )


def test_every_variant_is_expanded(run, tiny: Path):
    Path("two.yaml").write_text(VARIANTS.replace("conv2d(width)", "conv2d(6, groups=width - 3)").split("expect")[0])
    result = run("check", "two.yaml")
    assert result.exit_code == 2
    assert "groups=5 must divide the input channels and out, got 3 and 6" in result.stderr
    assert "= in the variant large" in result.stderr


def test_json_has_the_place_of_every_mistake(run, tiny: Path):
    Path("two.yaml").write_text(VARIANTS)
    result = run("check", tiny, "two.yaml", "--json")
    right, wrong = json.loads(result.stdout)["files"]
    assert right == {"file": "tiny.yaml", "ok": True, "problems": [], "warnings": []}
    assert wrong["problems"][0] == {
        "message": "two large has 24 parameters, but 25 are expected here",
        "file": "two.yaml",
        "line": 8,
        "column": 34,
        "hint": "",
        "trail": [],
    }


def test_a_file_that_names_an_architecture_is_checked_as_a_recipe(run, tiny: Path):
    Path("recipe.yaml").write_text("architecture: resnet50\ndata: {name: no_such_data}\n")
    result = run("check", "recipe.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("recipe.yaml:2:14: error: 'data.name' must be one of ")


def test_of_a_recipe_the_networks_are_counted(run, tiny: Path):
    Path("recipe.yaml").write_text("architecture: tiny.yaml\ndata: {name: digits}\n")
    text = "extends: recipe.yaml\ncompare: {five: {vars: {classes: 5}}, exact: {passes: [strided_to_spd()]}}\n"
    Path("pair.yaml").write_text(text)
    Path("tiny.yaml").write_text(tiny.read_text().replace("linear(10)", "linear(classes)") + "vars: {classes: 10}\n")
    result = run("check", "recipe.yaml", "pair.yaml")
    # Five classes less are 5 * 9 parameters; an exact 2x2 kernel over 16 channels has 7 * 4 * 8 more than 3x3 over 4,
    # and the pool becomes a 1x1 convolution from 4 * 8 channels to 8.
    assert result.stdout == (
        "recipe.yaml: ok, parameters: 510\npair.yaml: ok, parameters: pair 510, five 465, exact 990\n"
    )


def test_a_recipe_with_code_to_import_asks_first(run, tiny: Path):
    Path("code.py").write_text("")
    tiny.write_text(tiny.read_text() + "imports: [code.py]\n")
    Path("recipe.yaml").write_text("architecture: tiny.yaml\ndata: {name: digits}\n")
    refused = run("check", "recipe.yaml")
    assert refused.exit_code == 2
    assert "= because of 'architecture' in recipe.yaml:1:15" in refused.stderr
    assert run("check", "recipe.yaml", "--allow-imports").exit_code == 0


@pytest.mark.parametrize("base", ["recipe", "recipe.yaml"])
def test_a_file_that_extends_a_recipe_is_a_recipe(run, tiny: Path, base: str):
    Path("recipe.yaml").write_text("architecture: resnet50\ndata: {name: digits}\n")
    Path("longer.yaml").write_text(f"extends: {base}\nepochs: -1\n")
    result = run("check", "longer.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("longer.yaml:2:9: error: epochs must be at least 1, got -1\n")


def test_of_a_folder_its_yaml_files_are_checked(run, tiny: Path):
    Path("mine").mkdir()
    result = run("check", "mine")
    assert result.exit_code == 2
    assert "mine:1:1: error: this is a folder, not a file" in result.stderr
    for name in ("b.yaml", "a.yaml", "notes.txt"):
        Path("mine", name).write_text(tiny.read_text())
    result = run("check", "mine", "tiny.yaml")
    assert result.stdout.splitlines() == [
        f"{name}: ok, parameters: 510" for name in ("mine/a.yaml", "mine/b.yaml", tiny)
    ]


DOUBTFUL = """\
model: doubtful
inputs: {image: [3, 8, 8]}
layers:
  - squeeze: conv2d(8)
  - relu()
  - excite: conv2d(4) <- squeeze
"""


def test_a_warning_does_no_harm_unless_strict(run, tiny: Path):
    Path("doubtful.yaml").write_text(DOUBTFUL)
    result = run("check", "doubtful.yaml")
    assert (result.exit_code, result.stdout) == (0, "doubtful.yaml: ok, parameters: 56\n")
    assert result.stderr == (
        "doubtful.yaml:5:5: warning: no output depends on this relu\n"
        "    5 |   - relu()\n"
        "      |     ^\n"
        "      = hint: a line without '<-' reads the line before it, and a block or file returns its last line\n\n"
    )
    assert run("check", "doubtful.yaml", "--strict").exit_code == 2
    assert run("check", tiny, "--strict").exit_code == 0


def test_json_has_the_warnings(run, tiny: Path):
    Path("doubtful.yaml").write_text(DOUBTFUL)
    (file,) = json.loads(run("check", "doubtful.yaml", "--json").stdout)["files"]
    assert (file["ok"], file["problems"]) == (True, [])
    assert [(warning["line"], warning["message"]) for warning in file["warnings"]] == [
        (5, "no output depends on this relu")
    ]


def test_the_rules_of_a_rename_table_are_checked(run, tiny: Path):
    Path("renamed.yaml").write_text("model: m\nextends: tiny.yaml\nrename: {theirs: {'{x}': 'c.{y}'}}\n")
    result = run("check", "renamed.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("renamed.yaml:3:30: error: there is no number called 'y' here\n")

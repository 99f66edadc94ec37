"""`spdbuild data`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from spdbuild.cli import spdbuild


def run(*arguments: object) -> Result:
    return CliRunner().invoke(spdbuild, ["data", *map(str, arguments)])


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two classes, three images each to train on and one to test; every pixel of an image has one value."""
    for value, name in enumerate(
        (
            "train/cat/0",
            "train/cat/1",
            "train/cat/2",
            "train/dog/0",
            "train/dog/1",
            "train/dog/2",
            "test/cat/0",
            "test/dog/0",
        )
    ):
        file = tmp_path / "pets" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6, 3), 10 * value, np.uint8)).save(file)
    return tmp_path / "pets"


def test_check_of_a_sound_set(pets: Path) -> None:
    result = run("check", pets)
    assert result.exit_code == 0
    assert result.stdout == (
        "train: 6 images in 2 classes, 3 a class\n"
        "  sizes: 6x4 (6)\n"
        "  modes: RGB (6)\n"
        "test: 2 images in 2 classes, 1 a class\n"
        "  sizes: 6x4 (2)\n"
        "  modes: RGB (2)\n"
        "every file can be used\n"
    )


def test_check_names_bad_and_equal_files_and_ends_with_1(pets: Path) -> None:
    (pets / "train" / "cat" / "1.png").write_bytes(b"")
    (pets / "train" / "dog" / "1.png").write_bytes((pets / "train" / "dog" / "0.png").read_bytes())
    (pets / "test" / "dog" / "0.png").write_bytes((pets / "train" / "dog" / "0.png").read_bytes())
    result = run("check", pets)
    assert result.exit_code == 1
    assert result.stdout == (
        "train: 6 images in 2 classes, 3 a class\n"
        "  sizes: 6x4 (5)\n"
        "  modes: RGB (5)\n"
        "  1 bad file:\n"
        "    cat/1.png is empty (0 bytes)\n"
        "  1 group of equal files:\n"
        "    dog/0.png = dog/1.png\n"
        "test: 2 images in 2 classes, 1 a class\n"
        "  sizes: 6x4 (2)\n"
        "  modes: RGB (2)\n"
        "1 image both in train and test:\n"
        "    train/dog/0.png = train/dog/1.png = test/dog/0.png\n"
        "1 file cannot be used\n"
    )


def test_check_as_json(pets: Path) -> None:
    document = json.loads(run("check", pets, "--json").stdout)
    assert document["sound"] is True
    assert document["splits"]["train"]["classes"] == {"cat": 3, "dog": 3}
    assert document["leaks"] == []


def test_stats_give_what_normalize_needs(pets: Path) -> None:
    """The training images have the values 0, 10, ..., 50: mean 25 and deviation 17.08 of 255."""
    result = run("stats", pets)
    assert result.exit_code == 0
    assert result.stdout == (
        "class  train  test\n"
        "cat        3     1\n"
        "dog        3     1\n"
        "all        6     2\n"
        "train: 6x4 pixels, mean [0.0980, 0.0980, 0.0980], std [0.0670, 0.0670, 0.0670]\n"
        "test: 6x4 pixels, mean [0.2549, 0.2549, 0.2549], std [0.0196, 0.0196, 0.0196]\n"
    )


def test_stats_as_json_with_another_size(pets: Path) -> None:
    document = json.loads(run("stats", pets, "size=5", "--json").stdout)
    assert document["train"]["size"] == [5, 5]


def test_stats_of_a_set_without_files() -> None:
    document = json.loads(run("stats", "generated", "classes=3", "train=6", "test=3", "--json").stdout)
    assert document["train"]["classes"] == {"columns columns": 2, "columns rows": 2, "columns checks": 2}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["chek", "digits"], "there is no command 'data chek'\n      = hint: did you mean 'check'?"),
        (["check", "digits", "sise=3"], "digits() has no argument 'sise'"),
        (
            ["check", "digits", "size"],
            "'size' is not of the form field=value\n      = hint: such as size=64 or on_error=skip",
        ),
        (["stats", "generated", "classes=many"], "classes must be a whole number, got the text 'many'"),
    ],
    ids=["command", "field", "form", "value"],
)
def test_wrong_arguments_are_explained(arguments: list[str], text: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr == f"error: {text}\n"
    assert result.stdout == ""


def test_the_data_of_a_recipe(tmp_path: Path) -> None:
    recipe = tmp_path / "small.yaml"
    recipe.write_text("architecture: resnet18\ndata: {name: generated, classes: 2, train: 4, test: 2}\n")
    document = json.loads(run("stats", recipe, "data.train=8", "--json").stdout)
    assert document["train"]["classes"] == {"columns columns": 4, "columns rows": 4}


def test_a_target_that_is_nothing() -> None:
    result = run("check", "no_such_thing")
    assert result.exit_code == 2
    expected = "error: there is no 'no_such_thing': neither a folder, nor a recipe or the name of a data set\n"
    assert result.stderr.startswith(expected)


def test_a_wrong_folder_is_explained(pets: Path) -> None:
    result = run("stats", pets / "train")
    assert result.exit_code == 2
    assert result.stderr == (
        f"error: {pets}/train has no training folder train/\n      = hint: give the folder above it: root: {pets}\n"
    )

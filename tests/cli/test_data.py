"""`spdbuild data`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spdbuild.training.recipe import load_recipe

from .data_commands import run


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
        "1 image in more than one split:\n"
        "    train/dog/0.png = train/dog/1.png = test/dog/0.png\n"
        "1 file cannot be used\n"
    )


def test_check_tells_sizes_that_training_refuses_and_ends_with_1(pets: Path) -> None:
    Image.new("RGB", (7, 4)).save(pets / "train" / "dog" / "2.png")
    Image.new("RGB", (9, 9)).save(pets / "test" / "cat" / "0.png")
    Image.new("RGB", (9, 9), "red").save(pets / "test" / "dog" / "0.png")
    result = run("check", pets)
    assert result.exit_code == 1
    assert result.stdout == (
        "train: 6 images in 2 classes, 3 a class\n"
        "  sizes: 6x4 (5), 7x4 (1)\n"
        "  modes: RGB (6)\n"
        "test: 2 images in 2 classes, 1 a class\n"
        "  sizes: 9x9 (2)\n"
        "  modes: RGB (2)\n"
        "the images in train have different sizes: dog/2.png is 7x4 pixels, not 6x4\n"
        "the images to train on have 6x4 pixels, and those to evaluate on 9x9\n"
        "training needs one size: give the side in pixels that all shall have, such as size: 64\n"
    )
    assert json.loads(run("check", pets, "--json").stdout)["sound"] is False
    resized = run("check", pets, "size=8")
    assert (resized.exit_code, resized.stdout.splitlines()[-1]) == (0, "every file can be used")


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


def test_stats_and_check_tell_what_is_held_out(pets: Path) -> None:
    told = "val: 33.3% of 6 training images, as val_share=0.3; 1 of 3 groups by together='[0-9]'"
    for command in ("stats", "check"):
        assert told in run(command, pets, "val_share=0.3", "together='[0-9]'").stdout.splitlines()


def test_stats_as_json_with_another_size(pets: Path) -> None:
    document = json.loads(run("stats", pets, "size=5", "--json").stdout)
    assert document["train"]["size"] == [5, 5]


def test_images_of_a_height_and_a_width(pets: Path, tmp_path: Path) -> None:
    for file in (pets / "train" / "cat").iterdir():
        Image.new("RGB", (9, 9)).save(file)
    assert run("check", pets, "size=[8, 4]").stdout.splitlines()[-1] == "every file can be used"
    assert json.loads(run("stats", pets, "size=[8, 4]", "--json").stdout)["train"]["size"] == [8, 4]
    assert "train: 4x8 pixels, mean [" in run("stats", pets, "size=[8, 4]").stdout
    recipe = run("recipe", pets, "size=[8, 4]", "resize=pad").stdout
    assert "# 6 training images of 4x8 pixels in 2 classes" in recipe
    assert f"data: {{name: folder, root: {pets}, size: [8, 4], resize: pad}}\n" in recipe
    assert load_recipe(recipe).data.size == (8, 4)
    # Enlarged by 20, an image is 80 wide and stands in the middle of 160.
    assert run("show", pets, "size=[8, 4]", "-o", tmp_path / "seen.png", "--columns", 2).exit_code == 0
    with Image.open(tmp_path / "seen.png") as sheet:
        first = np.asarray(sheet)[4:164, 4:164]
    assert [(first[80, column] == 255).all() for column in (38, 42, 118, 122)] == [True, False, False, True]


def test_a_field_may_be_empty(pets: Path) -> None:
    assert json.loads(run("stats", pets, "size=", "--json").stdout)["train"]["size"] == [4, 6]


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
        (["stats", ".", "size=0"], "size must be at least 1, got 0"),
        (["check", ".", "size=-3"], "size must be at least 1, got -3"),
        (["check", ".", "size=[8, 0]"], "size must be at least 1, got 0"),
        (["stats", ".", "memory_gib=.nan"], "memory_gib must be a finite number, got nan"),
    ],
    ids=["command", "field", "form", "value", "zero", "negative", "width", "nan"],
)
def test_wrong_arguments_are_explained(arguments: list[str], text: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr == f"error: {text}\n"
    assert result.stdout == ""


def test_a_value_that_is_not_yaml_is_shown() -> None:
    result = run("check", "digits", "size=[3")
    assert result.exit_code == 2
    assert result.stderr.startswith("command line:1:6: error: this is not YAML")
    assert "1 | size=[3\n" in result.stderr


def test_what_does_not_fit_into_memory_is_explained(pets: Path) -> None:
    for arguments in ([pets, "size=10000000"], ["generated", "train=10000000000"]):
        result = run("stats", *arguments)
        assert result.exit_code == 2
        assert "GiB of memory, and" in result.stderr


def test_a_broken_link_is_a_bad_file_of_every_command(pets: Path) -> None:
    (pets / "train" / "cat" / "link.png").symlink_to("gone.png")
    for command, code in (("check", 1), ("stats", 2)):
        result = run(command, pets)
        assert result.exit_code == code
        assert "cat/link.png does not exist" in result.output
    skipped = run("stats", pets, "on_error=skip")
    assert skipped.exit_code == 0
    assert "1 skipped" in skipped.stdout


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


def test_photographs_that_are_not_read_are_counted_and_named(pets: Path) -> None:
    (pets / "train" / "cat" / "3.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0")
    (pets / "train" / "cat" / "notes.txt").write_text("from the park\n")
    result = run("check", pets)
    assert result.exit_code == 1
    assert result.stdout == (
        "train: 7 images in 2 classes, 3 to 4 a class\n"
        "  sizes: 6x4 (6)\n"
        "  modes: RGB (6)\n"
        "  1 bad file:\n"
        "    cat/3.heic is in a format that is not read (convert it to JPEG or PNG)\n"
        "test: 2 images in 2 classes, 1 a class\n"
        "  sizes: 6x4 (2)\n"
        "  modes: RGB (2)\n"
        "1 file cannot be used\n"
    )


def test_a_name_does_not_command_the_terminal(pets: Path) -> None:
    (pets / "train" / "cat" / "\x1b]0;title\x07.png").write_bytes(b"no image")
    result = run("check", pets)
    assert "\x1b" not in result.output
    assert r"\x1b]0;title\x07.png is not an image that can be read" in result.stdout
    assert "\x1b" in json.loads(run("check", pets, "--json").stdout)["splits"]["train"]["bad"].popitem()[0]


def test_a_split_is_called_as_its_folder(pets: Path, tmp_path: Path) -> None:
    (pets / "test").rename(pets / "val")
    checked = run("check", pets)
    assert [line.split(":")[0] for line in checked.stdout.splitlines()] == [
        "train", "  sizes", "  modes", "val", "  sizes", "  modes", "every file can be used",
    ]  # fmt: skip
    assert "a class; evaluated on val.\n" in run("recipe", pets).stdout
    assert run("show", pets, "-o", tmp_path / "seen.png", "--split", "val").exit_code == 0
    refused = run("show", pets, "-o", tmp_path / "x.png", "--split", "test")
    assert refused.stderr == "error: there is no split 'test'\n      = hint: known: train, val\n"


def test_images_of_several_sizes_are_counted(pets: Path) -> None:
    Image.new("RGB", (7, 9)).save(pets / "train" / "dog" / "2.png")
    (pets / "train" / "dog" / "3.png").touch()
    for memory in ("memory_gib=2", "memory_gib=0"):
        result = run("stats", pets, "on_error=skip", memory)
        assert (result.exit_code, result.stdout) == (
            0,
            "class  train  test\n"
            "cat        3     1\n"
            "dog        3     1\n"
            "all        6     2\n"
            "train: of several sizes, 6 to 7 pixels wide and 4 to 9 high, 1 skipped\n"
            "test: 6x4 pixels, mean [0.2549, 0.2549, 0.2549], std [0.0196, 0.0196, 0.0196]\n"
            "mean and std are of images of one size: give the side in pixels that all shall have, such as size: 64\n",
        )
    document = json.loads(run("stats", pets, "on_error=skip", "--json").stdout)["train"]
    assert (document["size"], document["sizes"], document["mean"]) == (None, [[4, 6], [9, 7]], None)
    refused = run("stats", pets)
    assert (refused.exit_code, refused.stderr) == (
        2,
        f"error: 1 of 7 files in {pets}/train cannot be used: dog/3.png is empty (0 bytes)\n"
        "      = hint: mend or remove them, or leave them out with on_error: skip\n",
    )

"""`spdbuild data`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from spdbuild.cli import spdbuild
from spdbuild.data.folder import Folder
from spdbuild.training.recipe import load_recipe


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


NETWORK = """\
model: tiny
inputs: {image: [3, 4, 6]}
layers:
  - stem: conv2d(4, 3)
  - global_avg_pool()
  - head: linear(2)
"""


def test_a_run_says_which_files_it_skips(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (pets / "train" / "cat" / "1.png").write_bytes(b"")
    (pets / "train" / "dog" / "link.png").symlink_to("gone.png")
    (pets / "test" / "dog" / "1.png").write_bytes(b"")
    Path("tiny.yaml").write_text(NETWORK)
    Path("pets.yaml").write_text(
        "architecture: tiny.yaml\ndata: {name: folder, root: pets, on_error: skip}\n"
        "batch: 2\nepochs: 1\nworkers: 0\ndevice: cpu\n"
    )
    result = CliRunner().invoke(spdbuild, ["train", "pets.yaml"])
    assert result.exit_code == 0, result.output
    train = "2 of 7: pets/train/cat/1.png is empty (0 bytes); pets/train/dog/link.png does not exist"
    test = "left out of the files to evaluate on, 1 of 3: pets/test/dog/1.png is empty (0 bytes)"
    for text in (result.stderr, Path("runs/pets/log.txt").read_text()):
        lines = text.splitlines()
        assert f"left out of the files to train on, {train}" in lines
        assert test in lines
    evaluated = CliRunner().invoke(spdbuild, ["eval", "runs/pets", "--json"])
    assert json.loads(evaluated.stdout)["counts"] == {"skipped": 1}
    assert test in CliRunner().invoke(spdbuild, ["eval", "runs/pets"]).stdout
    seen = CliRunner().invoke(spdbuild, ["predict", "runs/pets", "pets/train/dog"])
    assert "error: pets/train/dog/link.png: does not exist" in seen.stderr
    assert seen.exit_code == 1


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


def test_a_gallery_shows_images_with_their_classes(pets: Path, tmp_path: Path) -> None:
    result = run("show", pets, "-o", tmp_path / "seen.png", "--images", 6, "--columns", 3)
    assert (result.exit_code, result.output) == (0, f"6 images in {tmp_path / 'seen.png'}\n")
    with Image.open(tmp_path / "seen.png") as sheet:
        pixels = np.asarray(sheet)
    # 6x4 pixels are enlarged by 26 and stand in the middle of 160.
    assert pixels.shape[1] == 3 * (160 + 4) + 4
    starts = [(row, column) for row in (4, pixels.shape[0] // 2 + 2) for column in (4, 168, 332)]
    centres = [int(pixels[row + 52, column + 80, 0]) for row, column in starts]
    assert sorted(centres) == [0, 10, 20, 30, 40, 50]
    captions = [pixels[row + 106 : row + 118, column : column + 60].tobytes() for row, column in starts]
    classes = ["cat" if value < 30 else "dog" for value in centres]
    assert len(set(zip(classes, captions, strict=True))) == len(set(captions)) == 2


def test_a_gallery_of_a_recipe_has_its_augmentation_and_no_normalize(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "architecture: cifar_resnet20\ndata: {name: generated, size: 16, train: 18, test: 18}\nbatch: 18\nepochs: 1\n"
        "augment: [{name: cutmix}]\npreprocess: [{name: normalize, statistics: cifar10}]\n"
    )
    for name, options in {"train": (), "plain": ("--plain",), "test": ("--split", "test")}.items():
        assert run("show", recipe, "-o", tmp_path / f"{name}.png", *options).exit_code == 0
    pictures = {name: (tmp_path / f"{name}.png").read_bytes() for name in ("train", "plain", "test")}
    assert len(set(pictures.values())) == 3
    plain = load_recipe(recipe).data.open("train").images.permute(0, 2, 3, 1).reshape(-1, 3)
    with Image.open(tmp_path / "plain.png") as sheet:
        first = np.asarray(sheet)[4:164, 4:164][::10, ::10].reshape(-1, 3)
    assert {tuple(colour) for colour in first.tolist()} <= {tuple(colour) for colour in plain.tolist()}


def test_what_a_gallery_cannot_show_is_said(pets: Path, tmp_path: Path) -> None:
    result = run("show", pets, "-o", tmp_path / "x.png", "--size", 64)
    assert "--size is of a detector's images" in result.stderr
    result = run("show", pets, "-o", tmp_path / "x.png", "--split", "val")
    assert "there is no split 'val'" in result.stderr
    assert not (tmp_path / "x.png").exists()


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


def test_a_crop_that_would_be_of_padding_alone_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(NETWORK.replace("[3, 4, 6]", "[3, 16, 16]"))
    Path("small.yaml").write_text(
        "architecture: tiny.yaml\ndata: {name: generated, classes: 2, size: 16, train: 4, test: 2}\n"
        "augment: [{name: random_crop, padding: 100}]\nbatch: 2\nepochs: 1\nworkers: 0\ndevice: cpu\n"
    )
    result = CliRunner().invoke(spdbuild, ["train", "small.yaml"])
    assert result.exit_code == 2
    assert result.stderr.startswith(
        "small.yaml:3:40: error: random_crop with padding 100 could cut 16x16 pixels of nothing but padding\n"
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


def test_a_run_that_called_its_images_to_evaluate_on_test_goes_on_and_is_evaluated(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, val/ without test/ beside it was the split "test": the facts of a run do not say what it was called."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(NETWORK)
    Path("pets.yaml").write_text(
        "architecture: tiny.yaml\ndata: {name: folder, root: pets}\nbatch: 2\nepochs: 1\nworkers: 0\ndevice: cpu\n"
    )
    (pets / "test").rename(pets / "val")
    with monkeypatch.context() as before:
        before.setattr(Folder, "splits", ("train", "test"))
        before.setattr(Folder, "_held_out", lambda *_: Path("pets/val"))
        assert CliRunner().invoke(spdbuild, ["train", "pets.yaml"]).exit_code == 0
    resumed = CliRunner().invoke(spdbuild, ["train", "--resume", "runs/pets", "epochs=2"])
    assert resumed.exit_code == 0, resumed.output
    facts = json.loads(Path("runs/pets/environment.json").read_text())
    assert facts["resumed"][0].get("data", facts["data"]) == facts["data"]
    evaluated = CliRunner().invoke(spdbuild, ["eval", "runs/pets", "--json"])
    assert json.loads(evaluated.stdout)["split"] == "val"
    refused = CliRunner().invoke(spdbuild, ["eval", "runs/pets", "--split", "test"])
    assert refused.exit_code == 2
    assert refused.stderr == "error: the data set 'folder' has no split 'test'\n      = hint: known: train, val\n"


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

"""Recipes that are written for a data set: what they say of it, and that they train."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from spdbuild.cli.data import command
from spdbuild.data.detection.convert import convert
from spdbuild.data.detection.dataset import splits_of
from spdbuild.data.overview.recognizing import recognized
from spdbuild.data.sets.digits import Digits
from spdbuild.data.sets.folder import Folder
from spdbuild.data.sets.generated import Generated
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.data.sets.yolo import Yolo
from spdbuild.errors import DataError
from spdbuild.training.recipe import Recipe, load_recipe, twins
from spdbuild.training.recipe.beginning import beginning
from spdbuild.training.running.run import train


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Twelve wide images of one class and two of another, in two sizes, with a validation and a test folder."""
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name, count in (("common", 12), ("rare", 2)):
            folder = tmp_path / "own data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (70, 90 + number % 2, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "own data"


def one_step(text: str, folder: Path, batch: int = 4) -> Recipe:
    """The recipe, of which one step was trained."""
    train(text, ["max_steps=1", f"batch={batch}", "workers=0", "~compare"], runs=folder, quiet=True)
    return load_recipe(text)


def test_images_of_several_sizes_get_one_and_rare_classes_count_more(folders: Path, tmp_path: Path) -> None:
    text = beginning(Folder(str(folders)), "own.yaml")
    recipe = one_step(text, tmp_path)
    assert recipe.data == Folder(str(folders), size=64, resize="crop")
    assert (recipe.architecture, recipe.task.monitor) == ("cifar_resnet18", "mean_class_top1")
    assert "# spdbuild train own.yaml\n# 14 training images of 64x64 pixels in 2 classes, 2 to 12 a class; " in text
    assert "evaluated on val.\n" in text
    assert "# The largest class has 6 times the images of the smallest.\n" in text
    assert list(twins(recipe)) == ["strided"]


def test_training_images_alone_get_a_share_that_is_held_out(folders: Path, tmp_path: Path) -> None:
    for split in ("val", "test"):
        shutil.rmtree(folders / split)
    text = beginning(Folder(str(folders)), "own.yaml")
    recipe = one_step(text, tmp_path)
    assert recipe.data == Folder(str(folders), val_share=0.2, size=64, resize="crop")
    assert "# 11 training images of 64x64 pixels in 2 classes, 1 to 10 a class; evaluated on val.\n" in text
    assert (
        "# There is no folder of images to evaluate on: val_share holds out a fifth of each class of the training "
        f"images.\ndata: {{name: folder, root: {folders}, val_share: 0.2, size: 64, resize: crop}}\n" in text
    )


def test_an_empty_folder_to_evaluate_on_gets_no_recipe(folders: Path) -> None:
    shutil.rmtree(folders / "test")
    shutil.rmtree(folders / "val")
    (folders / "val").mkdir()
    with pytest.raises(DataError) as caught:
        beginning(Folder(str(folders)), "own.yaml")
    assert str(caught.value) == (
        f"error: {folders}/val holds no class folders\n"
        f"      = hint: put the images of each class into {folders}/val/<class>/, or remove the folder and say "
        "val_share: 0.2"
    )


@pytest.mark.parametrize(
    ("images", "batch", "lr", "warmup"),
    [(18, 8, 0.00625, 9), (159, 8, 0.00625, 60), (160, 16, 0.0125, 30), (639, 32, 0.025, 60), (640, 64, 0.05, 30)],
)
def test_an_epoch_of_few_images_has_several_batches(images: int, batch: int, lr: float, warmup: int) -> None:
    recipe = load_recipe(beginning(Generated(classes=2, size=16, train=images, test=18), "own.yaml"))
    assert (recipe.batch, recipe.optimizer.lr, recipe.schedule.warmup_batches) == (batch, lr, warmup)


def test_even_classes_of_one_size_are_left_as_they_are(tmp_path: Path) -> None:
    text = beginning(Digits(), "digits.yaml")
    recipe = one_step(text, tmp_path, batch=256)
    assert recipe.data == Digits()
    assert "class_weights" not in text
    assert "mean: [0.3054, 0.3054, 0.3054], std: [0.3753, 0.3753, 0.3753]" in text


def test_deep_images_get_their_range_as_levels(folders: Path, tmp_path: Path) -> None:
    for number, path in enumerate(sorted(folders.rglob("*.png"))):
        values = np.random.default_rng(number).uniform(20_100, 23_900, (64, 64)).astype(np.uint16)
        values[0, :2] = (20_000, 24_000) if number == 30 else (21_000, 22_000)
        Image.fromarray(values).save(path)
    for split in ("test", "train"):
        own = np.full((64, 64), 20_500, np.uint16)
        own[0, 0] = 24_000 if split == "train" else 65_535
        Image.fromarray(own).save(folders / split / "rare" / "0.png")
    text = beginning(Folder(str(folders)), "own.yaml")
    levels = one_step(text, tmp_path).data.levels
    assert levels[0] == pytest.approx(20_100, abs=20)
    assert levels[1] == 24_000


def test_a_detector_gets_the_size_of_its_images(tmp_path: Path) -> None:
    text = beginning(TinyObjects(images=8, size=64, largest=12), "tiny.yaml")
    recipe = one_step(text, tmp_path)
    assert (recipe.input, recipe.data) == ((3, 64, 64), TinyObjects(images=8, size=64, largest=12))
    assert recipe.task.tiles.size is None


def test_keys_that_have_their_defaults_are_left_out(tmp_path: Path) -> None:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    file = tmp_path / "data.yaml"
    file.write_text("train: images\nval: images\nnames: [thing]\n")
    assert f"\ndata: {{name: yolo, file: {file}}}\n" in beginning(Yolo(str(file)), "own.yaml")


def test_a_single_epoch_can_be_tried(tmp_path: Path) -> None:
    text = beginning(TinyObjects(images=8, size=64, largest=12), "tiny.yaml")
    assert "warmup_batches: 3 " in text
    overrides = ["epochs=1", "max_steps=1", "batch=4", "workers=0", "~compare"]
    train(text, overrides, runs=tmp_path, quiet=True)


def test_small_objects_in_large_images_are_learnt_from_windows() -> None:
    recipe = load_recipe(beginning(TinyObjects(images=4, size=1280, largest=14), "tiny.yaml"))
    assert (recipe.input, recipe.task.tiles.size) == ((3, 640, 640), 640)


def test_the_command_writes_a_file_and_replaces_none(folders: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    result = CliRunner().invoke(command, ["recipe", str(folders), "on_error=skip", "-o", str(file)])
    assert (result.exit_code, result.stderr) == (0, f"wrote {file}\n")
    assert load_recipe(file).data.on_error == "skip"
    again = CliRunner().invoke(command, ["recipe", str(folders), "-o", str(file)])
    assert "exists" in str(again.exception)
    assert load_recipe(file).data.on_error == "skip"


def test_classes_that_training_refuses_get_no_recipe(tmp_path: Path) -> None:
    convert(splits_of(TinyObjects(images=8, size=64, largest=12)), "coco", tmp_path / "shapes")
    file = tmp_path / "shapes" / "annotations" / "val.json"
    document = json.loads(file.read_text())
    document["categories"][0]["name"] = "other"
    file.write_text(json.dumps(document))
    cls, fields = recognized(tmp_path / "shapes")
    with pytest.raises(DataError, match="in the images to train on and 'other' in those to evaluate on"):
        beginning(cls(**fields), "own.yaml")


def test_a_placeholder_of_roboflow_is_ignored(tmp_path: Path) -> None:
    convert(splits_of(TinyObjects(images=8, size=64, largest=12)), "coco", tmp_path / "shapes")
    for file in (tmp_path / "shapes" / "annotations").iterdir():
        document = json.loads(file.read_text())
        document["categories"].insert(0, {"id": 0, "name": "shapes", "supercategory": "none"})
        file.write_text(json.dumps(document))
    cls, fields = recognized(tmp_path / "shapes")
    text = beginning(cls(**fields), "own.yaml")
    assert load_recipe(text).data.ignore == ("shapes",)
    assert (
        "\n# No object is of the category 'shapes', which has the id 0: a placeholder, as in Roboflow's exports.\n"
        in text
    )
    assert " objects of 6 classes; " in text

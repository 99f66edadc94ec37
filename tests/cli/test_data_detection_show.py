"""`spdbuild data show` of images with boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spdbuild.training.recipe import load_recipe

from .data_commands import run_raising as run


def test_a_picture_is_a_png_and_an_epoch_one_of_the_recipe(yolo: Path, tmp_path: Path) -> None:
    for arguments in (("show", yolo, "-o"), ("stats", yolo, "--plot")):
        result = run(*arguments, tmp_path / "g.jpg")
        assert result.exit_code == 2
        assert f"'{tmp_path / 'g.jpg'}' does not end in .png; use {tmp_path / 'g.png'}" in " ".join(
            result.output.replace("│", " ").split()
        )
    result = run("show", "tiny_objects.yaml", "--epoch", 99, "-o", tmp_path / "g.png")
    assert "there is no epoch 99: the recipe has 12" in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["yolo"]


def test_a_gallery_reads_only_its_split(yolo: Path, tmp_path: Path) -> None:
    yolo.write_text("train: images/nowhere\nval: images/val\nnames: [a, b, c, d, e, f]\n")
    assert run("show", yolo, "--split", "val", "-o", tmp_path / "val.png").exit_code == 0
    assert "nowhere' does not exist" in str(run("show", yolo, "-o", tmp_path / "train.png").exception)
    assert "data.yaml has no split 'test'" in str(
        run("show", yolo, "--split", "test", "-o", tmp_path / "t.png").exception
    )
    assert "there is no split 'tset'" in str(run("show", yolo, "--split", "tset", "-o", tmp_path / "t.png").exception)


@pytest.mark.parametrize("options", [(), ("--plain",), ("--split", "val")])
def test_a_gallery_is_a_picture(yolo: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    file = tmp_path / "gallery.png"
    result = run("show", yolo, "-o", file, "--size", 64, "--images", 2, "--columns", 2, *options)
    assert result.exit_code == 0, result.output
    with Image.open(file) as image:
        assert image.size == (2 * 68 + 4, 64 + 8)


RECIPE = """\
architecture: yolov5
variant: n
input: [3, 64, 64]
data: {name: tiny_objects, images: 12, size: 64}
task: {augment: {partners: batch, close_mosaic: 1}}
batch: 6
epochs: 2
seed: 3
workers: 0
"""


@pytest.mark.parametrize("epoch", [1, 2], ids=["with mosaics", "without"])
def test_a_gallery_of_a_recipe_has_the_images_that_it_trains_on(tmp_path: Path, epoch: int) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    override = "task.augment.flip_vertical=0.5"
    show = ("show", tmp_path / "recipe.yaml", override, "-o", tmp_path / "seen.png", "--images", 8, "--epoch", epoch)
    result = run(*show, "--columns", 1)
    assert result.exit_code == 0, result.output
    recipe = load_recipe(tmp_path / "recipe.yaml", [override])
    images = recipe.task.open(recipe, "train")
    batches = recipe.task.batches(recipe, images, training=True, rank=0, world=1, device=torch.device("cpu"))
    batches.set_epoch(epoch - 1)
    fed = torch.cat([batch for batch, _ in batches])[:8]
    with Image.open(tmp_path / "seen.png") as sheet:
        pixels = np.asarray(sheet)[4:, 4:68].reshape(8, 68, 64, 3)[:, :64]
    same = (pixels == (255 * fed).round().byte().permute(0, 2, 3, 1).numpy()).all(axis=3)
    # The rest is below frames and names.
    assert (same.mean(axis=(1, 2)) > 0.2).all()


def test_a_gallery_of_a_recipe_has_images_to_evaluate_on_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for name, options in {"val": (), "plain": ("--plain",)}.items():
        show = ("show", tmp_path / "recipe.yaml", "--split", "val", "-o", tmp_path / f"{name}.png", *options)
        assert run(*show).exit_code == 0
    assert (tmp_path / "val.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_gallery_of_a_recipe_draws_images_as_its_training(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    for name, options in {"all": (), "drawn": ("sampling=balanced",)}.items():
        for plain in ((), ("--plain",)):
            file = tmp_path / f"{name}{len(plain)}.png"
            assert run("show", tmp_path / "recipe.yaml", *options, *plain, "-o", file).exit_code == 0
    pictures = {file.stem: file.read_bytes() for file in tmp_path.glob("*.png")}
    assert pictures["all0"] != pictures["drawn0"]
    assert pictures["all1"] == pictures["drawn1"]


def test_a_name_of_nothing_is_refused(tmp_path: Path) -> None:
    assert "there is no 'tiny_object'" in str(run("show", "tiny_object", "-o", tmp_path / "x.png").exception)


def test_a_recipe_that_cuts_images_shows_windows(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "architecture: yolov5\nvariant: n\ninput: [3, 32, 32]\ndata: {name: tiny_objects, images: 4, size: 64}\n"
        "task: {tiles: {size: 32, overlap: 0}}\n"
    )
    result = run("show", recipe, "--split", "val", "-o", tmp_path / "a.png")
    assert result.exit_code == 0, result.output
    # The one image to evaluate on is four windows.
    assert result.stdout == f"4 images in {tmp_path / 'a.png'}\n"

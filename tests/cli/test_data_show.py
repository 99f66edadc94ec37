"""`spdbuild data show` of images with classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from spdbuild.training.recipe import load_recipe

from .data_commands import run


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


def test_a_gallery_of_a_recipe_has_images_as_often_as_its_training(tmp_path: Path) -> None:
    for label, count in {"cat": 9, "dog": 1}.items():
        folder = tmp_path / "data" / "train" / label
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (8, 8), (200, 0, 0) if label == "dog" else (0, 0, 0)).save(folder / f"{number}.png")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"architecture: resnet18\ndata: {{name: folder, root: {tmp_path / 'data'}}}\nbatch: 10\n")
    for options, dogs in ((["sampling=balanced"], 5), ([], 1), (["sampling=balanced", "--plain"], 1)):
        result = run("show", recipe, *options, "-o", tmp_path / "seen.png", "--images", 10, "--columns", 10)
        assert result.exit_code == 0, result.output
        with Image.open(tmp_path / "seen.png") as sheet:
            row = np.asarray(sheet)[84]
        assert [int(row[84 + 164 * column, 0]) for column in range(10)].count(200) == dogs


def test_what_a_gallery_cannot_show_is_said(pets: Path, tmp_path: Path) -> None:
    result = run("show", pets, "-o", tmp_path / "x.png", "--size", 64)
    assert "--size is of a detector's images" in result.stderr
    result = run("show", pets, "-o", tmp_path / "x.png", "--split", "val")
    assert "there is no split 'val'" in result.stderr
    assert not (tmp_path / "x.png").exists()

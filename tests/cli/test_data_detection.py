"""`spdbuild data` on data sets with boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from spdbuild.cli.data import command


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """A dataset YAML with eight generated images, converted by the command itself."""
    result = run(
        "convert", "tiny_objects", "images=8", "size=64", "largest=12", "--to", "yolo", "-o", tmp_path / "yolo"
    )
    assert result.exit_code == 0, result.output
    return tmp_path / "yolo" / "data.yaml"


def test_a_dataset_yaml_is_checked(yolo: Path) -> None:
    result = run("check", yolo)
    assert result.exit_code == 0
    assert "train: nothing is wrong" in result.output


def test_a_bad_row_is_named_and_ends_with_1(yolo: Path) -> None:
    labels = yolo.parent / "labels" / "train" / "train-000002.txt"
    labels.write_text("9 0.5 0.5 0.1 0.1\n")
    result = run("check", yolo)
    assert result.exit_code == 1
    assert f"{labels}:1: there is no class 9; there are 6" in result.output


def test_counts_are_printed_and_drawn(yolo: Path, tmp_path: Path) -> None:
    result = run("stats", yolo, "--json", "--plot", tmp_path / "plot.png")
    counts = json.loads(result.output)
    assert counts["train"]["images"] == 8
    assert sum(sum(cells.values()) for cells in counts["train"]["by_class"].values()) == counts["train"]["objects"] > 0
    with Image.open(tmp_path / "plot.png") as image:
        assert image.width > 1000


def test_a_conversion_says_what_it_wrote(yolo: Path, tmp_path: Path) -> None:
    result = run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco", "--json")
    written = json.loads(result.output)
    assert (written["images"], written["left_out"]) == (12, 0)
    document = json.loads((tmp_path / "coco" / "annotations" / "val.json").read_text())
    assert len(document["images"]) == 2


@pytest.mark.parametrize("options", [(), ("--plain",), ("--split", "val")])
def test_a_gallery_is_a_picture(yolo: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    file = tmp_path / "gallery.png"
    result = run("show", yolo, "-o", file, "--size", 64, "--images", 2, "--columns", 2, *options)
    assert result.exit_code == 0, result.output
    with Image.open(file) as image:
        assert image.size == (2 * 68 + 4, 64 + 8)


def test_data_sets_without_boxes_are_refused(tmp_path: Path) -> None:
    result = run("convert", "generated", "--to", "voc", "-o", tmp_path / "voc")
    assert "the data set 'generated' has no boxes" in str(result.exception)
    assert not (tmp_path / "voc").exists()

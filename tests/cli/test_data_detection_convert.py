"""`spdbuild data convert`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spdbuild.data.detection.pixels import image_size

from .data_commands import run_raising as run


def test_what_cannot_be_used_is_skipped_in_a_conversion_if_asked(yolo: Path, tmp_path: Path) -> None:
    labels = yolo.parent / "labels" / "train" / "train-000002.txt"
    labels.write_text(labels.read_text() + "9 0.5 0.5 0.1 0.1\n")
    result = run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco")
    assert "1 x unknown category" in str(result.exception)
    assert not (tmp_path / "coco").exists()
    result = run("convert", yolo, "on_error=skip", "--to", "coco", "-o", tmp_path / "coco")
    assert result.exit_code == 0
    skipped = "1 images or annotations skipped, which cannot be used; `spdbuild data check` names them"
    assert result.output.splitlines()[-1] == skipped
    assert run("check", tmp_path / "coco").exit_code == 0


def test_a_conversion_says_what_it_wrote(yolo: Path, tmp_path: Path) -> None:
    result = run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco", "--json")
    written = json.loads(result.output)
    assert (written["images"], written["left_out"]) == (12, 0)
    document = json.loads((tmp_path / "coco" / "annotations" / "val.json").read_text())
    assert len(document["images"]) == 2


def test_data_sets_without_boxes_are_refused(tmp_path: Path) -> None:
    result = run("convert", "generated", "--to", "voc", "-o", tmp_path / "voc")
    assert "the data set 'generated' has no boxes" in str(result.exception)
    assert not (tmp_path / "voc").exists()


def test_masks_that_a_format_cannot_hold_are_counted(yolo: Path, tmp_path: Path) -> None:
    run("convert", yolo, "--to", "coco", "-o", tmp_path / "coco")
    file = tmp_path / "coco" / "annotations" / "train.json"
    document = json.loads(file.read_text())
    for entry in document["annotations"][:3]:
        entry["segmentation"] = {"size": [64, 64], "counts": "T3l1`P1"}
    file.write_text(json.dumps(document))
    lost = "3 objects lost their mask of run lengths, which only COCO's files can hold"
    for format in ("coco", "yolo", "voc"):
        result = run("convert", tmp_path / "coco", "--to", format, "-o", tmp_path / f"to_{format}")
        assert (result.output.splitlines()[1:] == [lost]) is (format != "coco"), result.output
    result = run("convert", tmp_path / "coco", "--to", "voc", "-o", tmp_path / "json", "--json")
    assert json.loads(result.output)["masks_lost"] == 3


def test_windows_are_written_in_place_of_larger_images(tmp_path: Path) -> None:
    arguments = ("tiny_objects", "images=8", "size=64", "largest=12", "--to", "coco", "--tile", "32")
    result = run("convert", *arguments, "-o", tmp_path / "coco", "--overlap", "0", "--background", "0", "--json")
    assert result.exit_code == 0, result.output
    assert run("check", tmp_path / "coco").exit_code == 0
    names = {split: sorted((tmp_path / "coco" / "images" / split).iterdir()) for split in ("train", "val")}
    # Of the images to train on only windows with an object stay, of the others all four.
    assert len(names["train"]) < 4 * 8
    assert [path.name for path in names["val"]][:4] == [f"val-000000_{x}_{y}.png" for x in (0, 32) for y in (0, 32)]
    assert {image_size(path) for paths in names.values() for path in paths} == {(32, 32)}


@pytest.mark.parametrize(
    "option", [["--overlap", "0.2"], ["--whole"], ["--min-visible", "0.5"], ["--background", "1"]], ids=lambda o: o[0]
)
def test_what_is_said_of_windows_needs_windows(tmp_path: Path, option: list[str]) -> None:
    result = run("convert", "tiny_objects", "--to", "coco", "-o", tmp_path / "coco", *option)
    assert result.exit_code == 2
    assert f"Error: {option[0]} needs --tile\n" in result.output
    assert not (tmp_path / "coco").exists()

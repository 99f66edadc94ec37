"""What runs say of the data that they read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from spdbuild.cli import spdbuild
from spdbuild.data.sets.folder import Folder

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

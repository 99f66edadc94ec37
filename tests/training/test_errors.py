"""Every mistake in the folder `errors` gives exactly the message that stands below its command."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file

from spdbuild.cli import spdbuild
from spdbuild.training.running.run import train

FOLDER = Path(__file__).parent / "errors"
CASES = sorted(FOLDER.glob("*.txt"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recipes, and with data, weights and runs that are right or wrong as their names say."""
    folder = tmp_path_factory.mktemp("world")
    for path in FOLDER.glob("*.yaml"):
        shutil.copy(path, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_data(Path("data"))
        make_weights(Path("weights"))
        make_runs(Path("runs"))
    return folder


def make_data(data: Path) -> None:
    both = ("train/cat", "train/dog", "test/cat", "test/dog")
    for name, classes in {
        "good": both,
        "one_class": ("train/cat", "test/cat"),
        "one_test_class": ("train/cat", "train/dog", "test/cat"),
        "other_class": ("train/cat", "train/dog", "test/cat", "test/bird"),
        "empty_class": ("train/cat", "test/cat", "test/dog"),
        "no_split": ("cat", "dog"),
        "zero_bytes": both,
        "sizes": both,
    }.items():
        for place in classes:
            save_image(data / name / place / "0.png", side=8)
    (data / "empty_class" / "train" / "dog").mkdir()
    (data / "zero_bytes" / "train" / "dog" / "1.png").touch()
    save_image(data / "sizes" / "train" / "dog" / "1.png", side=9)
    (data / "good" / "readme").mkdir()
    (data / "archive.zip").write_bytes(b"PK\x03\x04")
    (data / "cifar").mkdir()
    (data / "cifar" / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b cut off")


def save_image(path: Path, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((side, side, 3), 128, np.uint8)).save(path)


def make_weights(weights: Path) -> None:
    weights.mkdir()
    save_file({"stem.weight": torch.zeros(4, 3, 5, 5), "head.weight": torch.zeros(2, 4)}, weights / "other.safetensors")
    small = {"stem.weight": torch.zeros(4, 3, 3, 3), "head.weight": torch.zeros(7, 4), "head.bias": torch.zeros(7)}
    save_file(small, weights / "seven_classes.safetensors")
    save_file({**small, "more": torch.zeros(1)}, weights / "more.safetensors")
    (weights / "cut.safetensors").write_bytes((weights / "other.safetensors").read_bytes()[:400])
    (weights / "page.safetensors").write_text("<!DOCTYPE html><title>404</title>")


def make_runs(runs: Path) -> None:
    small = train("small.yaml", runs=runs, quiet=True).folder
    state = Path("state") / "state.pt"
    for name in ("damaged", "empty", "old", "other", "no_architecture", "no_weights"):
        shutil.copytree(small, runs / name)
    (runs / "damaged" / state).write_bytes((small / state).read_bytes()[:5000])
    (runs / "empty" / state).write_bytes(b"")
    torch.save({"version": 0, "position": {}}, runs / "old" / state)
    wider = (runs / "other" / "architecture.yaml").read_text().replace("conv2d(4", "conv2d(8")
    (runs / "other" / "architecture.yaml").write_text(wider)
    (runs / "no_architecture" / "architecture.yaml").unlink()
    shutil.rmtree(runs / "no_weights" / "weights")


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_a_mistake_gives_its_message(case: Path, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world)
    command, _, expected = case.read_text().partition("\n")
    program, *arguments = shlex.split(command.removeprefix("$ "))
    before = set(world.rglob("*"))
    result = CliRunner().invoke(spdbuild, arguments, prog_name=program)
    assert (result.stderr, result.stdout) == (expected, "")
    assert result.exit_code == 2
    assert set(world.rglob("*")) == before


def test_the_cases_are_found() -> None:
    assert len(CASES) >= 70

"""A disk that is really full: a message, nothing half-written, and a run that goes on once there is room."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

from spdbuild import build
from spdbuild.cli import spdbuild
from spdbuild.errors import DiskFullError
from spdbuild.training.checkpoint import load_state
from spdbuild.training.running.run import resume, train

Same = Callable[[Path, Path], None]

PAGE = 4096

CLASSIFIER = """\
model: tiny
inputs: {image: [3, 8, 8]}
vars: {classes: 10}
layers:
  - stem: conv2d(8, 3, stride=2)
  - norm: batch_norm()
  - global_avg_pool()
  - head: linear(classes)
"""

DATA = {"classification": "{name: digits}", "detection": "{name: tiny_objects, images: 8, size: 64}"}

RECIPE = """\
architecture: {architecture}
data: {data}
batch: {batch}
epochs: 3
precision: fp32
workers: 0
ema: {{decay: 0.9}}
"""


class Disk:
    """A disk of 32 MiB, of which a file takes all but what a test leaves free."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def leave(self, room: int) -> None:
        """Fill the disk up to `room` bytes."""
        self._filler.write_bytes(b"")
        with self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.folder).free - room)

    def clear(self) -> None:
        """Give the room back."""
        self._filler.unlink()

    def names(self) -> list[str]:
        """The files on the disk."""
        found = (path for path in self.folder.rglob("*") if path.is_file() and path != self._filler)
        return sorted(str(path.relative_to(self.folder)) for path in found)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A disk in memory at a new folder while the context lasts."""
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", options, "none", str(folder)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here: that takes Linux and its root")
    try:
        yield folder
    finally:
        # Lazily: what a failed test has read may still be mapped.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", "size=32m") as folder:
        yield Disk(folder)


@pytest.fixture(params=["classification", "detection"])
def recipe(request: pytest.FixtureRequest, tmp_path: Path, small_detector: Path) -> Path:
    """The file of a recipe: three epochs of two or three steps."""
    if request.param == "classification":
        pytest.importorskip("sklearn", reason="the data set digits needs scikit-learn")
    classifier = tmp_path / "tiny.yaml"
    classifier.write_text(CLASSIFIER)
    architecture = {"classification": classifier, "detection": small_detector}[request.param]
    path = tmp_path / "small.yaml"
    batch = {"classification": 512, "detection": 4}[request.param]
    path.write_text(RECIPE.format(architecture=architecture, data=DATA[request.param], batch=batch))
    return path


def size_of(folder: Path) -> int:
    """Bytes that the files of a folder take on a disk of pages."""
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sum(-(-size // PAGE) * PAGE for size in sizes)


def assert_every_file_is_whole(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in files if path.name.startswith(".")]
    for path in files:
        if path.suffix == ".safetensors":
            assert load_file(path)
        if path.name == "state.pt":
            assert load_state(path).position["epoch"] >= 1
        if path.name == "metrics.jsonl":
            epochs = [json.loads(line)["epoch"] for line in path.read_text().splitlines()]
            assert epochs == list(range(1, len(epochs) + 1))
        if path.name == "metrics.csv":
            with path.open() as file:
                assert all(None not in row.values() for row in csv.DictReader(file))
        if path.name == "log.txt":
            assert path.read_text().endswith("\n") or not path.stat().st_size


@pytest.mark.slow
def test_wherever_the_disk_is_full_the_run_can_go_on(
    recipe: Path, tmp_path: Path, disk: Disk, assert_same_run: Same
) -> None:
    whole = train(recipe, runs=tmp_path / "whole", quiet=True).folder
    pages = (0, 4, 6, 8, 9, 12, 15, 20)
    named, begun = set(), 0
    for number, room in enumerate([*(PAGE * count for count in pages), size_of(whole) * 5 // 6]):
        runs = disk.folder / str(number)
        runs.mkdir()
        disk.leave(room)
        with pytest.raises(DiskFullError) as caught:
            train(recipe, runs=runs, quiet=True)
        path, _, reason = caught.value.problems[0].message.partition(" cannot be written: ")
        assert reason.startswith("No space left on device; it needs more than the ")
        named.add(Path(path).name)
        folder = runs / "small"
        assert_every_file_is_whole(runs)
        disk.clear()
        if not folder.is_dir():
            assert caught.value.problems[0].hint == "make room, or write to another disk"
            continue
        begun += 1
        assert f"make room and go on with `spdbuild train --resume {folder}`" in str(caught.value)
        resume(folder, quiet=True)
        assert_same_run(folder, whole)
        shutil.rmtree(runs)
    # The disk was full at the beginning, at every kind of save, and in the report.
    assert named >= {"architecture.yaml", "best.safetensors", "metrics.jsonl", "last.safetensors", "state.pt"}
    assert any(name.endswith((".png", ".html")) for name in named)
    assert begun == len(pages)


@pytest.mark.slow
def test_the_command_says_which_file_and_what_to_do(
    recipe: Path, tmp_path: Path, disk: Disk, assert_same_run: Same
) -> None:
    whole = train(recipe, runs=tmp_path / "whole", quiet=True).folder
    disk.leave(size_of(whole / "state") + size_of(whole / "weights") + 8 * PAGE)
    command = [sys.executable, "-m", "spdbuild", "train", str(recipe), "--runs", str(disk.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    folder = disk.folder / "small"
    error = done.stderr[done.stderr.index("error: ") :].splitlines()
    assert done.returncode == 1
    assert error[0].startswith(f"error: {folder}")
    assert "cannot be written: No space left on device; it needs more than the" in error[0]
    assert error[1].split("hint: ")[1] == (
        f"make room and go on with `spdbuild train --resume {folder}`; what was saved before is unharmed"
    )
    assert len(error) == 2
    assert "Traceback" not in done.stderr
    assert_every_file_is_whole(folder)
    disk.clear()
    again = subprocess.run([*command[:4], "--resume", str(folder)], capture_output=True, timeout=120)
    assert again.returncode == 0
    assert_same_run(folder, whole)


@pytest.fixture
def invoke(disk: Disk) -> Callable[..., str]:
    """Runs a command on the full disk and gives what it says, after a look at what it left."""

    def run(*arguments: object) -> str:
        before = disk.names()
        disk.leave(0)
        result = CliRunner().invoke(spdbuild, [str(argument) for argument in arguments])
        disk.clear()
        assert result.exit_code == 1
        assert disk.names() == before
        return result.stderr

    return run


def full(path: Path) -> str:
    """What is said of a file that does not fit."""
    return (
        f"error: {path} cannot be written: No space left on device; it needs more than the 0 bytes that are free\n"
        "      = hint: make room, or write to another disk\n"
    )


def test_a_run_that_cannot_begin_leaves_nothing(recipe: Path, disk: Disk, invoke: Callable[..., str]) -> None:
    said = invoke("train", recipe, "--runs", disk.folder / "runs")
    assert said.endswith(full(disk.folder / "runs" / "small" / "architecture.yaml"))
    assert not (disk.folder / "runs").exists()


def test_a_folder_that_cannot_be_made(recipe: Path, tmp_path: Path) -> None:
    # A disk has no room for folders when it has no inodes left.
    with mounted(tmp_path / "disk", "size=1m,nr_inodes=1") as folder:
        result = CliRunner().invoke(spdbuild, ["train", str(recipe), "--runs", str(folder)])
    assert result.exit_code == 1
    assert f"error: {tmp_path / 'disk' / 'small'} cannot be written: No space left on device" in result.stderr


def test_what_evaluation_and_prediction_write(
    recipe: Path, tmp_path: Path, disk: Disk, invoke: Callable[..., str]
) -> None:
    run = train(recipe, ["max_steps=1"], runs=tmp_path / "runs", quiet=True).folder
    output = disk.folder / "output"
    assert invoke("eval", run, "--no-speed", "-o", output).endswith(full(output / "classes.csv"))
    side = 64 if "detector" in (run / "architecture.yaml").read_text() else 8
    Image.new("RGB", (side, side)).save(tmp_path / "picture.png")
    said = invoke("predict", run, tmp_path / "picture.png", "-o", output, "--save", "json")
    assert said.endswith(full(output / "predictions.json"))


def test_what_networks_and_weights_are_written_to(tmp_path: Path, disk: Disk, invoke: Callable[..., str]) -> None:
    architecture, weights = tmp_path / "tiny.yaml", tmp_path / "tiny.pt"
    architecture.write_text(CLASSIFIER)
    torch.save(build(architecture).state_dict(), weights)
    output = disk.folder / "new.yaml"
    assert invoke("convert", architecture, "-o", output) == full(output)
    output = disk.folder / "new.pt2"
    assert invoke("export", architecture, "--weights", weights, "-o", output).endswith(full(output))
    output = disk.folder / "new.safetensors"
    assert invoke("weights", "import", weights, "--arch", architecture, "-o", output).endswith(full(output))


@pytest.mark.parametrize("form", ["coco", "yolo", "voc"])
def test_a_data_set_that_is_converted(disk: Disk, invoke: Callable[..., str], form: str) -> None:
    output = disk.folder / "new"
    assert invoke("data", "convert", "tiny_objects", "images=4", "size=64", "--to", form, "-o", output) == full(output)
    assert not output.exists()


def test_a_command_whose_output_does_not_fit(disk: Disk) -> None:
    disk.leave(0)
    with (disk.folder / "output").open("w") as output:
        command = [sys.executable, "-m", "spdbuild", "show", "resnet18"]
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (1, "error: the output cannot be written: No space left on device\n")

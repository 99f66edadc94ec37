"""A program from which everything is taken away that Windows does not have converts, trains and resumes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

#: Before spdbuild is imported, in the program and in the workers that it spawns, which import its file, too.
WINDOWS = """\
import asyncio, multiprocessing.resource_tracker, os, shutil, signal, sys, tempfile, torch, torchvision

# Python itself does by other means on Windows what it does by these here.
multiprocessing.resource_tracker._HAVE_SIGMASK = False
shutil.disk_usage = lambda path, usage=os.statvfs: shutil._ntuple_diskusage(0, 0, usage(path).f_bavail * 4096)
for module, names in {
    signal: ("SIGHUP", "SIGUSR1", "SIGKILL", "pthread_sigmask", "sigwaitinfo", "SIG_BLOCK", "SIG_SETMASK"),
    os: ("O_DIRECTORY", "getuid", "register_at_fork", "sched_getaffinity", "statvfs", "sysconf"),
}.items():
    for name in names:
        delattr(module, name)
sys.modules["fcntl"] = sys.modules["resource"] = None
opened, flushed = os.open, os.fsync

def open_file(path, *others, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return opened(path, *others, **named)

def flush(file):
    number = file if isinstance(file, int) else file.fileno()
    with open(f"/proc/self/fdinfo/{number}") as facts:
        if int(facts.read().split("flags:")[1].split()[0], 8) & 3 == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
    flushed(number)

os.open, os.fsync = open_file, flush
"""
CONVERT = f"""{WINDOWS}
from spdbuild.cli import main
sys.argv = ["spdbuild", "convert", "resnet18", "-o", "converted.yaml"]
main()
"""
TRAIN = f"""{WINDOWS}
import spdbuild.system.processors, spdbuild.data.loading.workers

class Windows:
    platform = "win32"

spdbuild.data.loading.workers.sys = Windows
spdbuild.system.processors.processors = lambda: 1
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    result = spdbuild.train("recipe.yaml", quiet=True)
    spdbuild.resume(result.folder, ["epochs=2", "workers=0"], quiet=True)
"""
DETECTOR = """\
model: tiny
inputs: {image: [3, 64, 64]}
vars: {classes: 80, anchors: {fine: [[6, 6], [9, 9]], coarse: [[14, 14], [17, 17]]}}
layers:
  - stem: conv2d(8, 3, stride=4)
  - fine: conv2d(8, 1)
  - coarse: conv2d(8, 3, stride=2)
  - detect: detect(classes, anchors, strides=[4, 8]) <- fine, coarse
"""
RECIPE = """\
architecture: detector.yaml
data: {name: tiny_objects, images: 8, size: 64}
task: {cache: disk}
loss: {name: detection}
batch: 8
epochs: 1
workers: 1
device: cpu
"""


def run(folder: Path, program: str) -> None:
    """Run a program from a file, of which what it spawns imports a copy."""
    (folder / "program.py").write_text(program)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "SPDBUILD_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_network_is_converted(tmp_path: Path) -> None:
    run(tmp_path, CONVERT)
    assert "spd_conv2d" in (tmp_path / "converted.yaml").read_text()


@pytest.mark.slow
def test_a_detector_is_trained_and_resumed_with_workers_that_are_spawned(tmp_path: Path) -> None:
    (tmp_path / "detector.yaml").write_text(DETECTOR)
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    run(tmp_path, TRAIN)
    assert list((tmp_path / "cache").rglob("images-*.npy"))
    assert len((tmp_path / "runs" / "recipe" / "metrics.jsonl").read_text().splitlines()) == 2

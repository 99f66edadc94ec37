"""The folder of a run: what is in it, under which names."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from spdbuild.errors import RecipeError, nearest
from spdbuild.files import unwritten
from spdbuild.training.files import write_text

_PACKAGES = ("spdbuild", "torchvision", "numpy", "safetensors", "pillow", "pycocotools")
#: The packages that bring cv2.
_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")

Row = dict[str, Any]


class RunFolder:
    """Paths of a run's files, and writing them whole or not at all.

    recipe.yaml architecture.yaml environment.json log.txt metrics.jsonl metrics.csv
    weights/last.safetensors weights/best.safetensors state/state.pt state/best.safetensors report/
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / "recipe.yaml"
        self.architecture = path / "architecture.yaml"
        self.log = path / "log.txt"
        self.last = path / "weights" / "last.safetensors"
        self.best = path / "weights" / "best.safetensors"
        self.state = path / "state" / "state.pt"
        self.kept_best = path / "state" / "best.safetensors"
        self.report = path / "report"

    @classmethod
    def create(cls, runs: Path, title: str) -> RunFolder:
        """A new folder `title`, `title-2`, `title-3`, ... below `runs`."""
        number = 1
        while True:
            path = runs / (title if number == 1 else f"{title}-{number}")
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                number += 1
            except OSError as error:
                raise unwritten(path, error, RecipeError) from None
            else:
                return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The folder of a run that exists; RecipeError if it is none."""
        folder = cls(path)
        if not path.is_dir():
            beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise RecipeError(f"there is no folder {path}", hint=nearest(path.name, beside))
        if not folder.recipe.is_file():
            hint = "name the folder that `spdbuild train` said, such as runs/quickstart"
            raise RecipeError(f"{path} is not the folder of a run: it has no recipe.yaml", hint=hint)
        return folder

    def remove_if_not_begun(self) -> None:
        """Leave nothing of a run that has not come as far as its recipe."""
        if self.path.is_dir() and not self.recipe.is_file():
            self.log.unlink(missing_ok=True)
            with suppress(OSError):
                self.path.rmdir()

    def write_metrics(self, rows: list[Row]) -> None:
        """All rows as metrics.jsonl and metrics.csv."""
        write_text(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, names, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        write_text(self.path / "metrics.csv", text.getvalue())

    def write_environment(self, **facts: Any) -> None:
        """What the run was made with: versions, machine, command, and `facts`."""
        write_text(self.path / "environment.json", json.dumps({**_environment(), **facts}, indent=2) + "\n")


def _environment() -> dict[str, Any]:
    versions = {name: _version(name) or "not installed" for name in _PACKAGES}
    versions["opencv"] = next(filter(None, map(_version, _OPENCV)), "not installed")
    return {
        "versions": {**versions, "python": platform.python_version(), "torch": str(torch.__version__)},
        "platform": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "commit": _commit(Path()),
        "spdbuild_commit": _commit(Path(__file__)),
        "command": sys.argv,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name: what Linux says of the first one, else what Python knows."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit(path: Path) -> str | None:
    """The commit of the repository around a folder, or of that which keeps a file; None if there is no such."""
    folder, asked = (path, ["rev-parse", "HEAD"]) if path.is_dir() else (path.parent, ["ls-files", path.name])
    try:
        done = subprocess.run(["git", "-C", folder, *asked], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = done.stdout.strip() or None
    return said if path.is_dir() or said is None else _commit(folder)

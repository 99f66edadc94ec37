"""What a run is made with: versions, machine, commits and command."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spdbuild import __version__

_PACKAGES = ("torchvision", "numpy", "safetensors", "pillow", "pycocotools")
#: The packages that provide cv2.
_OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


def environment() -> dict[str, Any]:
    """Versions, machine, commits and command of this process."""
    import torch

    versions = {"spdbuild": __version__}
    versions |= {name: installed_version(name) or "not installed" for name in _PACKAGES}
    versions["opencv"] = next(filter(None, map(installed_version, _OPENCV)), "not installed")
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


def installed_version(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name: what Linux says of the first one, else what Python knows."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit(path: Path) -> str | None:
    """The commit of the repository around a folder, or of the one that tracks a file; None if there is none."""
    folder, asked = (path, ["rev-parse", "HEAD"]) if path.is_dir() else (path.parent, ["ls-files", path.name])
    try:
        done = subprocess.run(["git", "-C", folder, *asked], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    said = done.stdout.strip() or None
    return said if path.is_dir() or said is None else _commit(folder)


def typed_commands(facts: Mapping[str, Any]) -> str:
    """The command of a stored environment as a person types it, and those that resumed the run."""
    return "; then ".join(typed(entry["command"]) for entry in (facts, *facts.get("resumed", ())))


def typed(command: Sequence[str]) -> str:
    """A stored command as a person types it: the program without its folder."""
    program = Path(command[0]).name
    return shlex.join(["spdbuild" if program == "__main__.py" else program, *command[1:]])

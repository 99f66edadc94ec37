"""Which folders hold runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spdbuild.errors import InputError, nearest
from spdbuild.reporting.folder import is_report
from spdbuild.training.run_folder import TAKEN, RunFolder

#: How many levels below a named folder are searched for runs.
_DEPTH = 3


@dataclass(frozen=True)
class LeftOut:
    """A folder that a report leaves out, and why."""

    folder: Path
    why: str

    def __str__(self) -> str:
        return f"{self.folder} is left out: {self.why}"


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, however far the run got."""
    return RunFolder(folder).recipe.is_file()


def find_runs(paths: Iterable[Path]) -> tuple[list[Path], list[LeftOut]]:
    """The folders of runs at or below `paths`, each once, a run before its twins; and the folders without runs.

    Raises InputError for a path that is not a folder.
    """
    found, left_out = dict[Path, Path](), dict[Path, LeftOut]()
    for path in paths:
        _require_folder(path)
        runs, others = _look(path, _DEPTH)
        for run in runs:
            found.setdefault(run.resolve(), run)
        for other in others:
            left_out.setdefault(other.folder.resolve(), other)
    return list(found.values()), list(left_out.values())


def _require_folder(path: Path) -> None:
    if path.is_dir():
        return
    if path.exists():
        raise InputError(f"{path} is a file", hint="name the folder of a run, or one that holds runs, such as runs")
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    raise InputError(f"there is no folder {path}", hint=nearest(path.name, beside))


def _look(folder: Path, depth: int) -> tuple[list[Path], list[LeftOut]]:
    if is_run(folder):
        inner = [twin for twin in _folders(folder) if twin.name not in TAKEN and is_run(twin)]
        return [folder, *inner], []
    if is_report(folder):
        return [], []
    runs, others = list[Path](), list[LeftOut]()
    for entry in _folders(folder) if depth else ():
        below, beside = _look(entry, depth - 1)
        runs += below
        others += beside
    return (runs, others) if runs else ([], [LeftOut(folder, "it is no run, for it has no recipe.yaml, nor holds any")])


def _folders(folder: Path) -> list[Path]:
    """The subfolders of a folder except hidden ones; none if it cannot be read."""
    with suppress(OSError):
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return []

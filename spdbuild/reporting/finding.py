"""Which folders hold runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spdbuild.errors import InputError, nearest_name
from spdbuild.reporting.folder import is_report
from spdbuild.training.folder.run_folder import TAKEN, RunFolder, hint_at_runs
from spdbuild.training.report.evaluation_file import FILE

#: How many levels below a named folder are searched for runs.
_DEPTH = 3
#: The same when looking for the folder that a wrong name was meant to be.
_SWEEP = 2
_NOTHING = f"it is no run, for it has no recipe.yaml, no evaluation of one, for it has no {FILE}, nor holds any"


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


def is_evaluation(folder: Path) -> bool:
    """Whether a folder is that of an evaluation of a run."""
    return (folder / FILE).is_file()


def find_runs(paths: Iterable[Path]) -> tuple[list[Path], list[LeftOut]]:
    """The folders of runs and evaluations at or below `paths`, each once, a run before what is in it; and all others.

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
    raise InputError(f"there is no folder {path}", hint=_hint(path))


def _hint(path: Path) -> str:
    """A hint with the folder that was probably meant: a run, or one that holds runs, perhaps in folders of sweeps."""
    beside = [folder for folder in _folders(path.parent) if _look(folder, _SWEEP)[0]]
    name = nearest_name(path.name, [folder.name for folder in beside])
    return hint_at_runs(path) if name is None else f"did you mean '{path.parent / name}'?"


def _look(folder: Path, depth: int) -> tuple[list[Path], list[LeftOut]]:
    if is_run(folder) or is_evaluation(folder):
        inner = [entry for entry in _folders(folder) if entry.name not in TAKEN]
        found = (_look(entry, 0)[0] for entry in inner if is_run(entry) or is_evaluation(entry))
        return [folder, *(path for paths in found for path in paths)], []
    if is_report(folder):
        return [], []
    runs, others = list[Path](), list[LeftOut]()
    for entry in _folders(folder) if depth else ():
        below, beside = _look(entry, depth - 1)
        runs += below
        others += beside
    return (runs, others) if runs else ([], [LeftOut(folder, _NOTHING)])


def _folders(folder: Path) -> list[Path]:
    """The subfolders of a folder except hidden ones; none if it cannot be read."""
    with suppress(OSError):
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    return []

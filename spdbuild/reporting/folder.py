"""The folder of a report: written atomically, replacing an earlier report and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from spdbuild.errors import InputError
from spdbuild.system.files import write_folder

#: The files of a report.
MARKDOWN, LATEX, PAGE = "report.md", "report.tex", "index.html"
TABLE, DIFFERENCES_TABLE, CURVES_TABLE, CLASSES_TABLE = "runs.csv", "differences.csv", "curves.csv", "by_class.csv"
#: Those that every version has written.
_FIRST = frozenset((MARKDOWN, TABLE, PAGE))
_FILES = _FIRST | {LATEX, DIFFERENCES_TABLE, CURVES_TABLE, CLASSES_TABLE}


def is_report(folder: Path) -> bool:
    """Whether a folder is that of a report."""
    return all((folder / name).is_file() for name in _FIRST)


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds anything but a report; raises InputError."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file", hint="give a folder that is new, empty, or an earlier report")
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in _FILES) if folder.exists() else []
    if others:
        message = f"{folder} holds '{others[0]}', which is of no report"
        raise InputError(message, hint="give a folder that is new, empty, or an earlier report")


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Write `files` by name into a folder, all or none of them. Raises InputError and DiskFullError."""

    def fill(fresh: Path) -> None:
        for name, text in files.items():
            (fresh / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="")

    check_folder(folder)
    write_folder(folder, fill, replacing=True)

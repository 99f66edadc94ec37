"""The files of a run and of evaluations: whole or not at all, in folders that are made where there are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spdbuild import files
from spdbuild.errors import RunError


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """As `spdbuild.files.write_whole`; the folder is made where there is none. Raises RunError."""
    files.make_folder(path.parent, failure=RunError)
    files.write_whole(path, write, failure=RunError)


def write_text(path: Path, text: str) -> None:
    """As `spdbuild.files.write_text`; the folder is made where there is none. Raises RunError."""
    files.make_folder(path.parent, failure=RunError)
    files.write_text(path, text, failure=RunError)

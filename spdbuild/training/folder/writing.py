"""Atomic writing of the files of runs and evaluations; missing folders are created."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spdbuild.errors import RunError
from spdbuild.system import files


def save_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Like `spdbuild.system.files.write_whole`, but create a missing folder. Raises RunError."""
    files.make_folder(path.parent, failure=RunError)
    files.write_whole(path, write, failure=RunError)


def save_text(path: Path, text: str) -> None:
    """Like `spdbuild.system.files.write_text`, but create a missing folder. Raises RunError."""
    files.make_folder(path.parent, failure=RunError)
    files.write_text(path, text, failure=RunError)

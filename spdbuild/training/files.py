"""The files of a run: whole or not at all, and a failure names the way on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spdbuild import files
from spdbuild.errors import RunError

_HINT = "what was there before is unharmed; make room and go on with `spdbuild train --resume`"


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """As `spdbuild.files.write_whole`; the folder is made where there is none. Raises RunError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path.parent} cannot be made: {error.strerror}", hint=_HINT) from None
    files.write_whole(path, write, failure=RunError, hint=_HINT)


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all. Raises RunError."""
    write_whole(path, lambda beside: _fill(beside, text))


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

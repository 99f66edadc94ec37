"""Text files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from spdbuild.errors import InputError


def write_text(path: Path, text: str) -> None:
    """Write `text` beside `path` and put it in its place once it is on the disk.

    Whatever happens on the way, `path` is what it was or what it should be. Raises InputError.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}", hint="make the folder first")
    if path.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    """Permissions that new files do not get; the system tells them only while setting them."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

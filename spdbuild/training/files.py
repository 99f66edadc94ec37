"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from spdbuild.errors import RunError


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, and put it in its place once it is on the disk.

    Whatever happens on the way, `path` is what it was or what it should be. Raises RunError, as on a full disk.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        beside = Path(name)
        try:
            write(beside)
            _to_disk(beside)
            beside.chmod(0o644)
            beside.replace(path)
            _to_disk(path.parent)
        finally:
            beside.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError.
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        hint = "what was there before is unharmed; make room and go on with `spdbuild train --resume`"
        raise RunError(f"{path} cannot be written: {reason}", hint=hint) from None


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    write_whole(path, lambda beside: _write_utf8(beside, text))


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

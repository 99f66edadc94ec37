"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from spdbuild.errors import InputError, SpdbuildError


def write_whole(
    path: Path, write: Callable[[Path], None], *, failure: type[SpdbuildError] = InputError, hint: str = ""
) -> None:
    """Let `write` fill a file beside `path`, and put it in its place once it is on the disk.

    Whatever happens on the way, a kill included, `path` is what it was or what it should be. Raises `failure` with
    `hint` where the system refuses, as on a full disk.
    """
    if not path.parent.is_dir():
        raise failure(f"{path} cannot be written: there is no folder {path.parent}", hint="make the folder first")
    if path.is_dir():
        raise failure(f"{path} cannot be written: it is a folder")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        beside = Path(name)
        try:
            write(beside)
            _to_disk(beside)
            beside.chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
            beside.replace(path)
            _to_disk(path.parent)
        finally:
            beside.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError.
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise failure(f"{path} cannot be written: {reason}", hint=hint) from None


def write_text(path: Path, text: str) -> None:
    """A text file in UTF-8, whole or not at all. Raises InputError."""
    write_whole(path, lambda beside: _fill(beside, text))


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    """Permissions that new files do not get; the system tells them only while setting them."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask

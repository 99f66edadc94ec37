"""Locks on folders among the processes of one machine, where the system has them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:
    # Windows locks parts of files, which then cannot be read, and no folders.
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """A lock on a folder, held by this process and not by those that it forks, from `get` to the end of the context.

    The system releases it when the process ends, however it ends. Where folders cannot be locked, as on Windows and on
    some network drives, everybody gets it.

    held: whether this process has it and the system keeps others from it.
    """

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        self.held = False
        if fcntl is None:
            return
        # A folder that cannot be opened is reported when it is written to.
        with suppress(OSError):
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        # A lock lasts until every copy of its descriptor is closed, and workers can outlive a process that is killed.
        os.register_at_fork(after_in_child=self._close)

    def get(self, *, shared: bool = False, wait: bool = False) -> bool:
        """Whether nobody else has the lock.

        shared: others may have it, too, if they share it. wait: until nobody has it, so it is always got.
        """
        if self._descriptor is not None:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            try:
                fcntl.flock(self._descriptor, kind if wait else kind | fcntl.LOCK_NB)
                self.held = True
            except BlockingIOError:
                return False
            except OSError:
                pass
        return True

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor, self.held = None, False

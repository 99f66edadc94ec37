"""A lock on the folder of a run, in which only one process at a time may train."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from spdbuild.errors import FolderTakenError
from spdbuild.training.distributed import Processes
from spdbuild.training.run_folder import RunFolder


@contextmanager
def alone_in(folder: RunFolder, processes: Processes) -> Iterator[None]:
    """Keep others from training in `folder` while the context lasts; FolderTakenError on every process if one does.

    A twin may be trained beside other twins, but not beside the run that it belongs to, which may be about to train it.
    The system releases the lock when the process ends, however it ends.
    """
    around = RunFolder(folder.path.resolve().parent)
    with ExitStack() as held:
        taken = None
        if processes.first:
            wanted = [(around.path, fcntl.LOCK_SH)] if around.recipe.is_file() else []
            for path, kind in (*wanted, (folder.path, fcntl.LOCK_EX)):
                lock = held.enter_context(_Lock(path))
                if taken is None and not lock.get(kind):
                    taken = str(path)
        taken = processes.from_first(taken)
        if taken is not None:
            raise FolderTakenError(f"{taken} is being trained by another process", hint="wait for it or stop it")
        yield


class _Lock:
    """A lock on a folder, held by this process and not by those that it forks."""

    def __init__(self, folder: Path) -> None:
        self._descriptor: int | None = None
        # A folder that cannot be opened is reported when it is written to.
        with suppress(OSError):
            self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        # A lock lasts until every copy of its descriptor is closed, and workers can outlive a process that is killed.
        os.register_at_fork(after_in_child=self._close)

    def get(self, kind: int) -> bool:
        """Whether nobody else has the lock; where folders cannot be locked, as on some network drives, nobody has."""
        if self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                pass
        return True

    def __enter__(self) -> _Lock:
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

"""A lock on the folder of a run, in which only one process at a time may train."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from spdbuild.errors import FolderTakenError
from spdbuild.system.locks import FolderLock
from spdbuild.training.folder.run_folder import RunFolder
from spdbuild.training.processes.distributed import Processes


@contextmanager
def alone_in(folder: RunFolder, processes: Processes) -> Iterator[None]:
    """Keep others from training in `folder` while the context lasts; FolderTakenError on every process if one does.

    A twin may be trained beside other twins, but not beside the run that it belongs to, which may be about to train it.
    The system releases the lock when the process ends, however it ends. Where it cannot lock folders, as on Windows,
    nobody is kept from anything.
    """
    around = RunFolder(folder.path.resolve().parent)
    with ExitStack() as held:
        taken = None
        if processes.first:
            wanted = [(around.path, True)] if around.recipe.is_file() else []
            for path, shared in (*wanted, (folder.path, False)):
                lock = held.enter_context(FolderLock(path))
                if taken is None and not lock.get(shared=shared):
                    taken = str(path)
        taken = processes.from_first(taken)
        if taken is not None:
            raise FolderTakenError(f"{taken} is being trained by another process", hint="wait for it or stop it")
        yield

"""Batches made by worker processes, or in this process if there are none."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.queues import Queue
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from spdbuild.errors import first_line
from spdbuild.system.processors import processors

Plan = TypeVar("Plan")
Batch = TypeVar("Batch")

#: Whether a program can see who sends a signal.
_SEES_SENDERS = hasattr(signal, "sigwaitinfo")

#: Whether a program can keep signals from itself and from what it starts.
_BLOCKS_SIGNALS = hasattr(signal, "pthread_sigmask")

#: What terminals send to a whole process group, as far as the system has it; batch systems also send SIGTERM. The main
#: process handles it for its workers, too.
_FROM_TERMINALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))
_GROUP_SIGNALS = (*_FROM_TERMINALS, *((signal.SIGTERM,) if _SEES_SENDERS else ()))


class Workers(Generic[Plan, Batch]):
    """Worker processes that live on from one epoch to the next.

    make: turns a plan into a batch; it is copied into each process. An exception from there would arrive as another
        type, so an error is returned in place of the batch.
    workers: how many, but no more than there are processors; 0 makes the batches in this process.
    pin_memory: whether batches are put into pinned memory, from which a GPU copies them faster.
    """

    def __init__(self, make: Callable[[Plan], Batch], workers: int, *, pin_memory: bool) -> None:
        workers = min(workers, processors())
        self._planned: _Planned[Plan] = _Planned()
        plans: Any = self._planned
        self._loader: DataLoader[Any] = DataLoader(
            _FunctionDataset(make),
            batch_size=None,
            sampler=plans,
            collate_fn=_identity,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_prepare,
            # Forked processes share the data set; to others, the default of Python 3.14, it would be sent.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=pin_memory,
            # A generator of its own: otherwise each epoch would take a number from torch's global one.
            generator=torch.Generator(),
        )

    def batches(self, plans: Iterable[Plan]) -> Iterator[Batch]:
        """The batches of `plans`, in their order."""
        self._planned.plans = plans
        # The first time, this starts the processes.
        with _blocked(_GROUP_SIGNALS):
            batches = iter(self._loader)
        yield from batches


@contextmanager
def _blocked(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """A context in which signals are blocked; processes that are started in it never receive them.

    On Windows they are not: there a worker ignores them once it has begun.
    """
    if not _BLOCKS_SIGNALS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(worker: int) -> None:
    # Python leaves out what cannot be sent, and the main process would wait for that batch for ever.
    Queue._on_queue_feeder_error = staticmethod(_end_unsent)  # type: ignore[attr-defined]
    # In processes that are not forked, Python may have unblocked these again.
    for number in _FROM_TERMINALS:
        signal.signal(number, signal.SIG_IGN)
    if _SEES_SENDERS:
        threading.Thread(target=_obey_parent, daemon=True).start()


def _end_unsent(error: Exception, batch: object) -> None:
    """End this worker process, so that the main process learns that a batch of it will not come."""
    with suppress(OSError):
        sys.stderr.write(f"a process that reads images cannot send a batch: {first_line(error)}\n")
        sys.stderr.flush()
    os._exit(1)


def _obey_parent() -> None:
    """End this process when its parent sends SIGTERM, as Python does at exit before it waits for this process."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


class _Planned(Generic[Plan]):
    """The plans of an epoch, which torch's loader asks for at its start."""

    plans: Iterable[Plan] = ()

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.plans)


class _FunctionDataset(Dataset[Any]):
    """A function as a dataset of torch's loader."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __getitem__(self, plan: Any) -> Any:
        return self._make(plan)


def _identity(batch: Any) -> Any:
    return batch

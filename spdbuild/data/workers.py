"""Batches made by worker processes, or in this one where there are none."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from spdbuild.data.processors import processors

Plan = TypeVar("Plan")
Batch = TypeVar("Batch")

#: Whether a program can see who sends a signal.
_SEES_SENDERS = hasattr(signal, "sigwaitinfo")

#: What terminals and batch systems send to all processes of a group. The main one answers, for its workers too.
_GROUP_SIGNALS = (signal.SIGINT, signal.SIGHUP, *((signal.SIGTERM,) if _SEES_SENDERS else ()))


class Workers(Generic[Plan, Batch]):
    """Processes that stay from one epoch to the next.

    make: the batch of a plan; it is copied into each process. An error that crosses from there would lose its form, so
        what is wrong is given back as the batch.
    workers: how many, if the machine has so many processors for them; 0 makes the batches here.
    pin_memory: whether batches are put where a GPU fetches them faster.
    """

    def __init__(self, make: Callable[[Plan], Batch], workers: int, *, pin_memory: bool) -> None:
        workers = min(workers, processors())
        self._planned: _Planned[Plan] = _Planned()
        plans: Any = self._planned
        self._loader: DataLoader[Any] = DataLoader(
            _Made(make),
            batch_size=None,
            sampler=plans,
            collate_fn=_same,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_ignore_group,
            # Forked processes share the data set; to others it would be sent, which is the default of Python 3.14.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=pin_memory,
            # A generator of its own: otherwise each epoch would take a number from torch's global one.
            generator=torch.Generator(),
        )

    def batches(self, plans: Iterable[Plan]) -> Iterator[Batch]:
        """The batches of `plans`, in their order."""
        self._planned.plans = plans
        # The first time processes are started here.
        with _held_back(_GROUP_SIGNALS):
            batches = iter(self._loader)
        yield from batches


@contextmanager
def _held_back(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """The context in which signals wait; processes that are started there are never reached by them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore_group(worker: int) -> None:
    # Where processes are not forked, Python may have let these through again.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if _SEES_SENDERS:
        threading.Thread(target=_heed_parent, daemon=True).start()


def _heed_parent() -> None:
    """End this process when its parent says so, as Python does when it exits, to wait for it then."""
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)


class _Planned(Generic[Plan]):
    """The plans of an epoch, which torch's loader asks for at its start."""

    plans: Iterable[Plan] = ()

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.plans)


class _Made(Dataset[Any]):
    """A function as torch's loader calls it."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __getitem__(self, plan: Any) -> Any:
        return self._make(plan)


def _same(batch: Any) -> Any:
    return batch

"""Batches made by worker processes, or in this one where there are none."""

from __future__ import annotations

import atexit
import signal
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from spdbuild.data.processors import processors

Plan = TypeVar("Plan")
Batch = TypeVar("Batch")

#: What terminals and batch systems send to all processes of a group. The main one answers, for its workers too.
_GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        self._at_exit = partial(_close, weakref.ref(self))
        plans: Any = self._planned
        self._loader: DataLoader[Any] = DataLoader(
            _Made(make),
            batch_size=None,
            sampler=plans,
            collate_fn=_same,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_ignore_group_signals,
            # Forked processes share the data set; to others it would be sent, which is the default of Python 3.14.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=pin_memory,
            # A generator of its own: otherwise each epoch would take a number from torch's global one.
            generator=torch.Generator(),
        )

    def batches(self, plans: Iterable[Plan]) -> Iterator[Batch]:
        """The batches of `plans`, in their order. Who leaves before the last one, or in an error, ends the processes."""
        self._planned.plans = plans
        try:
            yield from self._started()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the processes; the next batches start others."""
        atexit.unregister(self._at_exit)
        batches: Any = self._loader._iterator
        if batches is None:
            return
        self._loader._iterator = None
        # torch raises here, too, when it learns that one of them was killed.
        with suppress(RuntimeError):
            batches._shutdown_workers()
        for process in batches._workers:
            # torch tried with a signal that they ignore.
            if process.is_alive():
                process.kill()

    def _started(self) -> Iterator[Batch]:
        """An epoch of torch's loader, whose first one starts the processes."""
        if self._loader.num_workers == 0:
            return iter(self._loader)
        with _held_back(_GROUP_SIGNALS):
            batches = iter(self._loader)
        # Python's own way to end them at exit would wait for ever. What is registered later is called earlier.
        atexit.unregister(self._at_exit)
        atexit.register(self._at_exit)
        return batches


def _close(workers: weakref.ref[Workers[Any, Any]]) -> None:
    alive = workers()
    if alive is not None:
        alive.close()


@contextmanager
def _held_back(signals: Iterable[signal.Signals]) -> Iterator[None]:
    """Processes that are started within the context are not reached by the signals, until they choose to be."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore_group_signals(worker: int) -> None:
    # Where processes are not forked, Python may have let the signals through again.
    for number in _GROUP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


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

"""Batches made by worker processes, or in this one where there are none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from spdbuild.data.processors import processors

Plan = TypeVar("Plan")
Batch = TypeVar("Batch")


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
            # Forked processes share the data set; to others it would be sent, which is the default of Python 3.14.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=pin_memory,
            # A generator of its own: otherwise each epoch would take a number from torch's global one.
            generator=torch.Generator(),
        )

    def batches(self, plans: Iterable[Plan]) -> Iterator[Batch]:
        """The batches of `plans`, in their order."""
        self._planned.plans = plans
        yield from self._loader


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

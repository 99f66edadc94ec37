"""The processes of a run: one, or those that torchrun starts."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from spdbuild.errors import RecipeError, RunError, first_line
from spdbuild.training.processes.job import current_job, require_meeting_place
from spdbuild.training.processes.sync_norm import synchronized

#: A process that waits longer than this for another takes the job down: the other has died or hangs.
TIMEOUT = timedelta(minutes=10)

#: The keys of a store that share a prefix, as a store.
_Part = distributed.PrefixStore  # type: ignore[attr-defined]

#: Numbers the runs that this process takes part in; all processes come to them in the same order.
_RUNS = itertools.count()


@dataclass(frozen=True)
class Processes:
    """This process among all processes of a run.

    rank: number of this process. world: number of processes.
    store: the store that the processes of a job share; it outlives them when torchrun restarts them.
    """

    rank: int = 0
    world: int = 1
    store: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        return self.world > 1

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in the order of ranks, on every process."""
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.world
        distributed.all_gather_object(values, value)
        return values

    def to_first(self, value: Any) -> list[Any]:
        """Every process's value, in the order of ranks, on the first process; on others an empty list."""
        if not self.several:
            return [value]
        values: list[Any] = [None] * self.world if self.first else []
        distributed.gather_object(value, values or None)
        return values

    def from_first(self, value: Any) -> Any:
        """The first process's value, on every process."""
        if not self.several:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    def once(self, make: Callable[[], str]) -> str:
        """What `make` returns on the first process, on every process; the same again if torchrun restarts the job."""
        return str(self.from_first(self._remembered(make) if self.first else None))

    def _remembered(self, make: Callable[[], str]) -> str:
        if self.store is None:
            return make()
        if not self.store.check(["once"]):
            self.store.set("once", make())
        return str(self.store.get("once"), "utf-8")

    def any(self, holds: bool) -> bool:
        """Whether something holds for any of the processes."""
        return bool(self.largest(torch.tensor(float(holds))))

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of the tensor over all processes, computed in place."""
        if self.several:
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, tensor: Tensor) -> Tensor:
        """The elementwise maximum of the tensor over all processes, computed in place."""
        if self.several:
            distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
        return tensor

    def share(self, batch: int) -> None:
        """Refuse a batch that leaves a process without images."""
        if batch < self.world:
            raise RecipeError(f"a batch of {batch} cannot be shared by {self.world} processes")

    def share_buffers(self, model: nn.Module) -> None:
        """Copy the model's buffers, such as batch norm statistics, from the first process to all others."""
        if self.several:
            for buffer in model.buffers():
                distributed.broadcast(buffer, src=0)

    def wrap(
        self, model: nn.Module, device: torch.device, sync_batch_norm: bool
    ) -> nn.parallel.DistributedDataParallel | None:
        """The model wrapped so that training averages gradients over processes; None for a single process."""
        if not self.several:
            return None
        if sync_batch_norm:
            synchronized(model)
        devices = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, devices)


def is_first() -> bool:
    """Whether this is the first process of its job; it works outside of `joined`, too."""
    return current_job().rank == 0


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """The processes of this run, connected while the context lasts. device: where this one computes.

    A process group that the program has made is used, and stays; without one the processes are connected here.

    Raises RecipeError if the environment does not say which processes those are, or that group is not theirs.
    """
    world, number = current_job().world, next(_RUNS)
    if world == 1 and not distributed.is_torchelastic_launched():
        yield Processes()
        return
    ours = not distributed.is_initialized()
    try:
        rank, store = _meet() if ours else _met(device)
        if ours and world > 1:
            _connect(_Part(f"attempt-{_restarts()}/{number}", store), rank, world, device)
        yield Processes(rank, world, _Part(f"run-{number}", store))
    except RuntimeError as error:
        reason = first_line(error)
        if not any(word in reason for word in ("gloo", "NCCL", "Connection")):
            raise
        # The library's message without the place in its source and without its advice.
        told = re.sub(r"^\[[^]]*\] ", "", reason).split(". ")[0]
        hint = "torchrun says which one, and how; `spdbuild train --resume` goes on from the last state"
        raise RunError(f"another process of the run has ended: {told}", hint=hint) from None
    finally:
        if ours and distributed.is_initialized():
            distributed.destroy_process_group()


@functools.cache
def _meet() -> tuple[int, Any]:
    """The rank of this process, and the store of the job.

    They meet only once: a process that came early to its next run would find the previous run's store while it closes.
    """
    require_meeting_place()
    store, rank, _ = next(distributed.rendezvous("env://", timeout=TIMEOUT))  # type: ignore[attr-defined]
    return rank, _whole(store)


def _met(device: torch.device) -> tuple[int, Any]:
    """The rank of this process, and the store of the job, where the program itself has connected the processes.

    Raises RecipeError unless the group has the processes of the job, and moves tensors of the device and of the CPU.
    """
    job, rank, world = current_job(), distributed.get_rank(), distributed.get_world_size()
    if (rank, world) != (job.rank, job.world):
        raise RecipeError(
            f"the process group of the program has this as process {rank} of {world}, and RANK={job.rank} "
            f"WORLD_SIZE={job.world} are set",
            hint="call torch.distributed.destroy_process_group() before",
        )
    # Such as "cpu:gloo,cuda:nccl".
    backends: str = distributed.distributed_c10d.get_backend_config()  # type: ignore[attr-defined]
    served = {backend.partition(":")[0] for backend in backends.split(",")}
    missing = [kind for kind in ("cpu", device.type) if kind not in served]
    if missing:
        wanted = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        raise RecipeError(
            f"the process group of the program ({backends}) moves no tensors of {missing[0]}",
            hint=f"init_process_group('{wanted}') makes one that does; without any, spdbuild makes its own",
        )
    return rank, _whole(distributed.distributed_c10d._get_default_store())  # type: ignore[attr-defined]


def _whole(store: Any) -> Any:
    """The store without prefixes: torch may prefix keys with the attempt, but what is in it is for all attempts."""
    while isinstance(store, _Part):
        store = store.underlying_store
    return store


def _connect(store: Any, rank: int, world: int, device: torch.device) -> None:
    """Connect the processes; the store must be new, as torchrun's still holds the addresses of dead processes.

    Tensors on a GPU travel by nccl and all others by gloo, so that exchanging an object does not wait for a device.
    """
    gpu = device.type == "cuda"
    distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if gpu else "gloo",
        store=store,
        rank=rank,
        world_size=world,
        timeout=TIMEOUT,
        device_id=device if gpu else None,
    )


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))

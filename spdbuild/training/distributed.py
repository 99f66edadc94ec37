"""The processes of a run: one, or those that torchrun starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from spdbuild.errors import RecipeError, RunError
from spdbuild.training.sync_norm import synchronized

#: A process that waits longer than this for another takes the job down: the other has died or hangs.
TIMEOUT = timedelta(minutes=10)


@dataclass(frozen=True)
class Processes:
    """This process among all of a run.

    rank: number of this process. world: number of processes. local_rank: its number on its machine.
    restarts: how often torchrun has started the job anew after a failure.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    restarts: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes the files and speaks."""
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

    def from_first(self, value: Any) -> Any:
        """The first process's value, on every process."""
        return self.gather(value if self.first else None)[0]

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of every process's tensor."""
        if self.several:
            distributed.all_reduce(tensor)
        return tensor

    def largest(self, tensor: Tensor) -> Tensor:
        """The largest of every process's tensor, number by number."""
        if self.several:
            distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX)
        return tensor

    def share(self, batch: int) -> None:
        """Refuse a batch that leaves a process without images."""
        if batch < self.world:
            raise RecipeError(f"a batch of {batch} cannot be shared by {self.world} processes")

    def wrap(self, model: nn.Module, device: torch.device, sync_batch_norm: bool) -> nn.Module:
        """The model as every process calls it in training: gradients are averaged over the processes."""
        if not self.several:
            return model
        if sync_batch_norm:
            synchronized(model)
        devices = [device] if device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, devices)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes of this run, connected while the context lasts; nccl on GPUs, gloo elsewhere."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Processes(restarts=_restarts())
        return
    backend = "nccl" if device.startswith("cuda") else "gloo"
    try:
        _connect(backend)
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        yield Processes(distributed.get_rank(), world, local_rank, _restarts())
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if not any(word in reason for word in ("gloo", "NCCL", "Connection")):
            raise
        raise RunError(f"another process of the run has ended: {reason}") from None
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _connect(backend: str) -> None:
    store, rank, world = next(distributed.rendezvous("env://", timeout=TIMEOUT))  # type: ignore[attr-defined]
    # torchrun keeps its store over restarts, with the addresses of processes that are dead.
    fresh = distributed.PrefixStore(f"attempt-{_restarts()}", store)  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=fresh, rank=rank, world_size=world, timeout=TIMEOUT)


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))

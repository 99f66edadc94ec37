"""The device that a run computes on, and whether its algorithms are deterministic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from spdbuild.errors import RecipeError, RunError

if TYPE_CHECKING:
    from spdbuild.training.recipe import Recipe

#: Part of torch's message about an op that it cannot compute deterministically.
_NOT_DETERMINISTIC = "does not have a deterministic implementation"
#: The variable that says how much memory cuBLAS may use.
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def choose_device(wanted: str) -> torch.device:
    """The device of this process; "auto" takes a CUDA GPU if there is one.

    A GPU without a number is torch's current one, and for each process that torchrun starts that of its local rank.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise RecipeError(f"there is no device '{wanted}'", hint="use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda":
        return _gpu(device)
    if device.type == "cpu" and device.index:
        raise RecipeError(f"there is no device '{wanted}': all processors are one", hint="set device=cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RecipeError("this machine has no mps device", hint="set device=auto")
    if device.type not in ("cpu", "mps"):
        raise RecipeError(f"the device '{wanted}' is not supported", hint="use auto, cpu, cuda, cuda:1 or mps")
    return device


def device_of(recipe: Recipe) -> torch.device:
    """The device of this process for a recipe; raises RecipeError with its place."""
    with recipe.about("device"):
        return choose_device(recipe.device)


def _gpu(device: torch.device) -> torch.device:
    count, processes = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.index is not None and processes > 1:
        raise RecipeError(f"{processes} processes cannot share the GPU '{device}'", hint="set device=cuda")
    index = _own_gpu(count) if device.index is None else device.index
    if index >= count:
        hint = f"start at most {count} processes on this machine" if 0 < count < processes else "set device=auto"
        raise RecipeError(f"there is no GPU number {index}; this machine has {count}", hint=hint)
    return torch.device("cuda", index)


def _own_gpu(count: int) -> int:
    if "LOCAL_RANK" in os.environ:
        return int(os.environ["LOCAL_RANK"])
    return torch.cuda.current_device() if count else 0


@contextmanager
def current(device: torch.device) -> Iterator[None]:
    """Make a GPU torch's current one while the context lasts; on any other device nothing changes."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.current_device()
    torch.cuda.set_device(device)
    try:
        yield
    finally:
        torch.cuda.set_device(before)


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """Use only algorithms that give the same bits each time while the context lasts, or else the fastest ones.

    Raises RunError for an op that has no deterministic algorithm on its device.
    """
    before = torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark
    # cuBLAS reads it when it is first used, and is not deterministic without it.
    workspace = wanted and _WORKSPACE not in os.environ
    if workspace:
        os.environ[_WORKSPACE] = ":4096:8"
    if wanted:
        torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = not wanted
    try:
        yield
    except RuntimeError as error:
        op, found, _ = str(error).partition(_NOT_DETERMINISTIC)
        if not found:
            raise
        message = f"{op.strip()} has no algorithm that gives the same bits each time"
        raise RunError(message, hint="set deterministic=false") from None
    finally:
        torch.set_deterministic_debug_mode(before[0])
        torch.backends.cudnn.benchmark = before[1]
        if workspace:
            del os.environ[_WORKSPACE]

"""Where a run computes."""

from __future__ import annotations

import torch

from spdbuild.errors import RecipeError


def choose_device(wanted: str, local_rank: int = 0) -> torch.device:
    """The device of this process; "auto" takes a GPU where there is one."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise RecipeError(f"there is no device '{wanted}'", hint="use auto, cpu, cuda, cuda:1 or mps") from None
    if device.type == "cuda":
        return _gpu(device, local_rank)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RecipeError("this machine has no mps device", hint="set device=auto")
    if device.type not in ("cpu", "mps"):
        raise RecipeError(f"the device '{wanted}' is not supported", hint="use auto, cpu, cuda, cuda:1 or mps")
    return device


def _gpu(device: torch.device, local_rank: int) -> torch.device:
    count = torch.cuda.device_count()
    index = local_rank if device.index is None else device.index
    if index >= count:
        raise RecipeError(f"there is no GPU number {index}; this machine has {count}", hint="set device=auto")
    chosen = torch.device("cuda", index)
    torch.cuda.set_device(chosen)
    return chosen


def set_determinism(deterministic: bool) -> None:
    """Whether GPUs only use algorithms that give the same bits each time, or the quickest ones."""
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic

"""Non-finite losses: detected before they reach the weights, and traced to the layer where they begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from spdbuild.analysis.watching import watched


def can_skip(optimizer: torch.optim.Optimizer, device: torch.device, scaler: torch.amp.GradScaler) -> bool:
    """Whether the device itself can skip an update, so that the program need not wait for the loss.

    An enabled scaler needs the same two attributes of the optimizer to skip updates of its own.
    """
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return fused and device.type == "cuda" and not scaler.is_enabled()


class NanGuard:
    """Keeps non-finite losses away from the weights.

    interval: steps between two looks of `found` at the loss. If it is more than one, the program need not wait for the
        device: the optimizer, for which `can_skip` must hold, skips a bad update and every later one by itself.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device, interval: int = 1) -> None:
        self._flag = torch.zeros((), device=device)
        self._interval = interval
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        if interval > 1:
            optimizer.grad_scale = None  # type: ignore[attr-defined]
            optimizer.found_inf = self._flag  # type: ignore[attr-defined]

    def note(self, loss: Tensor) -> None:
        """Record whether the loss of a batch is finite."""
        self._flag.copy_(torch.maximum(self._flag, (~torch.isfinite(loss.detach())).to(self._flag.dtype)))

    def found(self, step: int, agree: Callable[[Tensor], Tensor]) -> bool:
        """Whether a loss was not finite in step `step` or, without waiting for the device, in an earlier one.

        agree: combines the flag over all processes, in place.
        """
        agree(self._flag)
        first = (self._flag > 0) & (self._first_bad < 0)
        self._first_bad.copy_(torch.where(first, step, self._first_bad))
        return bool(self._flag) if step % self._interval == 0 else False

    @property
    def first_step(self) -> int:
        """The first step with a loss that was not finite; -1 if there was none."""
        return int(self._first_bad)


@torch.no_grad()
def first_bad_layer(model: nn.Module, run: Callable[[], Any]) -> str | None:
    """Name of the first layer, in order of execution, with a non-finite output; None if there is none."""
    found: list[str] = []

    def look(name: str, inputs: Any, output: Any) -> None:
        if not found and any(not torch.isfinite(t).all() for t in _tensors(output)):
            found.append(name)

    leaves = {name: module for name, module in model.named_modules() if name and not list(module.children())}
    with watched(leaves, look):
        run()
    return found[0] if found else None


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [tensor for item in value for tensor in _tensors(item)] if isinstance(value, list | tuple) else []

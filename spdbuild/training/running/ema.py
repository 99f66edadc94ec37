"""The exponential moving average of a model."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn


class Ema:
    """A copy of a model whose floating-point tensors follow those of the model: v = d * v + (1 - d) * new.

    d = decay * (1 - exp(-updates / ramp)), so that the random initial weights are soon forgotten. Batch-norm statistics
    are averaged like weights; integer tensors are copied.

    model: the average; in eval mode, without gradients.
    """

    def __init__(self, model: nn.Module, decay: float, ramp: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.ramp, self.updates = decay, ramp, 0
        self._followed: nn.Module | None = None
        self._tensors: tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]] = [], [], [], []

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the weights after a step."""
        self.updates += 1
        decay = self.decay * (1 - math.exp(-self.updates / self.ramp)) if self.ramp else self.decay
        if model is not self._followed:
            # Collecting the tensors takes three times as long as averaging them.
            self._followed, self._tensors = model, _pairs(self.model, model)
        average, new, counts, new_counts = self._tensors
        torch._foreach_lerp_(average, new, 1 - decay)
        if counts:
            torch._foreach_copy_(counts, new_counts)


def _pairs(average: nn.Module, model: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """The floating-point tensors of the average and of the model, then the integer tensors of both."""
    pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
    floating = [pair for pair in pairs if pair[0].is_floating_point()]
    whole = [pair for pair in pairs if not pair[0].is_floating_point()]
    return (
        [old for old, _ in floating],
        [new for _, new in floating],
        [old for old, _ in whole],
        [new for _, new in whole],
    )

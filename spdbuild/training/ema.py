"""The moving average of a model."""

from __future__ import annotations

import copy
import math

import torch
from torch import nn


class Ema:
    """A copy of a model whose floating numbers follow those of the model: v = d * v + (1 - d) * new.

    d = decay * (1 - exp(-updates / ramp)), so that the first weights, which are random, are soon forgotten. Batch-norm
    statistics are averaged like weights; whole numbers are copied.

    model: the average; in eval mode, without gradients.
    """

    def __init__(self, model: nn.Module, decay: float, ramp: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay, self.ramp, self.updates = decay, ramp, 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        decay = self.decay * (1 - math.exp(-self.updates / self.ramp)) if self.ramp else self.decay
        average, new = list(self.model.state_dict().values()), list(model.state_dict().values())
        floating = [i for i, tensor in enumerate(average) if tensor.is_floating_point()]
        torch._foreach_lerp_([average[i] for i in floating], [new[i] for i in floating], 1 - decay)
        for old, value in zip(average, new, strict=True):
            if not old.is_floating_point():
                old.copy_(value)

"""Small tensors on their way to a device."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The values on the device. A GPU fetches them when it gets there: this process does not wait for it."""
    if device.type != "cuda":
        return values.to(device)
    # From memory that is not pinned the copy would end before the call does, behind all work of the device before it.
    return values.pin_memory().to(device, non_blocking=True)

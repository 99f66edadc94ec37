"""Small tensors on their way to a device."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The values on the device. A GPU copies them when it gets there: this process does not wait for it."""
    if device.type != "cuda":
        return values.to(device)
    # From unpinned memory the call would block until the copy is done, after all earlier work of the device.
    return values.pin_memory().to(device, non_blocking=True)

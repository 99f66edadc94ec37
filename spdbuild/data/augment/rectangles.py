"""Rectangles of pixels, one for each image of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def inside(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, height: int, width: int) -> Tensor:
    """Which pixels lie in each image's rectangle, bool [N, 1, height, width]; the edges are [N], ends excluded."""
    rows = torch.arange(height, device=top.device)
    columns = torch.arange(width, device=top.device)
    in_rows = (rows >= top[:, None]) & (rows < bottom[:, None])  # [N, height]
    in_columns = (columns >= left[:, None]) & (columns < right[:, None])  # [N, width]
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]

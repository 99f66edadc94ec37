"""The order in which an epoch has the images of a set."""

from __future__ import annotations

import torch
from torch import Tensor

from spdbuild.data.draws import generator


def epoch_order(count: int, seed: int, epoch: int, weights: Tensor | None = None) -> Tensor:
    """Positions in a set of `count` images, shuffled, int64 [count]; they depend on nothing but the arguments.

    weights: float64 [count], positive. An image then comes count * weight / sum times, rounded up or down at random so
        that this is the mean: with equal weights each comes once, as it does without any.
    """
    draws = generator("order", seed, epoch)
    order = torch.randperm(count, generator=draws)
    if weights is None:
        return order
    # Systematic sampling: the images lie side by side on a line, each as long as it shall come often, and those are
    # drawn on which points at distances of 1 fall. Independent draws would leave out images that shall come once.
    # As images of one weight lie together, all of them together come as often as they shall, but for one.
    order = order[weights[order].argsort(stable=True)]
    ends = weights[order].cumsum(0) * (count / weights.sum())
    points = torch.arange(count, dtype=torch.float64) + torch.rand((), dtype=torch.float64, generator=draws)
    # The sum may be rounded to less than the last point.
    drawn = order[torch.searchsorted(ends, points, right=True).clamp(max=count - 1)]
    return drawn[torch.randperm(count, generator=draws)]


def repeats(order: Tensor) -> Tensor:
    """For each position of an order how often its image came before, int64 [count]."""
    images, positions = order.sort(stable=True)
    before = torch.empty_like(order)
    before[positions] = torch.arange(len(order)) - torch.searchsorted(images, images)
    return before

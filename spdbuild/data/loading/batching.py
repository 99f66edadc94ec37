"""How many batches a set gives, and which batch sizes make sense."""

from __future__ import annotations

import torch
from torch import Tensor

from spdbuild.errors import RecipeError


def share_of(samples: Tensor, rank: int, world: int) -> Tensor:
    """Those of a batch's samples [n] that belong to process `rank` of `world`."""
    return samples[rank::world]


def positions_of(images: int, batch: int, rank: int, world: int) -> Tensor:
    """Which of a number of images process `rank` of `world` gets in batches without shuffling, in its order."""
    batches = torch.arange(images).split(batch)  # type: ignore[no-untyped-call]
    return torch.cat([share_of(samples, rank, world) for samples in batches])


def batch_count(images: int, batch: int, drop_last: bool) -> int:
    """The number of batches in a whole epoch."""
    full, rest = divmod(images, batch)
    return full + (rest > 0 and not drop_last)


def check_batches(images: int, batch: int, world: int, *, shuffle: bool, drop_last: bool) -> None:
    """Refuse batches that are never full, and training batches too small for all processes to get a share."""
    if drop_last and images < batch:
        raise RecipeError(
            f"a batch of {batch} is larger than the data set of {images} images and is never full",
            hint=f"use a batch of {images} or less",
        )
    last = images % batch
    if shuffle and not drop_last and 0 < last < world:
        raise RecipeError(
            f"the last batch of an epoch has {last} of {images} images for {world} processes",
            hint="leave it out with drop_last, or use another batch",
        )

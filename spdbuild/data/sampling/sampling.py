"""The base of all ways to draw images, and what they are told of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from spdbuild.declaring.registry import Registry


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Which images have which classes: pairs of the two, each once.

    count: images, some of which may have no class.
    images, classes: int64 [pairs], numbers of an image and of a class.
    """

    count: int
    images: Tensor
    classes: Tensor

    @cached_property
    def shares(self) -> Tensor:
        """float64 [K], the share of the images that have each class, up to the last one that any has."""
        return self.classes.bincount().double() / self.count

    def largest(self, factors: Tensor) -> Tensor:
        """float64 [count], the largest of the classes' `factors` [K] in each image; 1 for an image without a class."""
        return torch.ones(self.count, dtype=torch.float64).scatter_reduce(
            0, self.images, factors[self.classes], "amax", include_self=False
        )


@dataclass(frozen=True)
class Sampling:
    """Base of all samplings: frozen dataclasses whose fields are the keys of the section `sampling`."""

    name: ClassVar[str] = ""

    def weights(self, found: Occurrences) -> Tensor:
        """float64 [images], positive: an image is drawn in proportion to its weight."""
        raise NotImplementedError

    def described(self, found: Occurrences, classes: Sequence[str]) -> str:
        """A log line: how often an epoch has its images, and which of the `classes` is the rarest one."""
        if not found.shares.any():
            return "sampling: no image has an object, so an epoch has each of them once"
        weights = self.weights(found)
        times = weights * (found.count / weights.sum())
        share, rarest = found.shares.where(found.shares > 0, 1).min(dim=0)
        return (
            f"sampling: an epoch has an image {float(times.min()):.3g} to {float(times.max()):.3g} times; "
            f"the rarest class, '{classes[int(rarest)]}', is in {float(share):.2%} of the images"
        )


SAMPLINGS: Registry[Sampling] = Registry("sampling", "spdbuild.data.sampling", "spdbuild.samplings")

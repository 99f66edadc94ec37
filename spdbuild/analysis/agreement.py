"""How far the outputs of two networks are apart: what "the same" and "exact to 1e-4" mean wherever spdbuild says so.

The relative error of an output is max |a - b| / max |a| over all of its numbers and all runs, in float64; `a` is the
output of the network that is known to be right. Where `a` is zero throughout, the error is max |a - b| itself. Where
either has a NaN, the error is NaN, which no tolerance allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class OutputError:
    """How far an output is from what it should be, over all runs so far. absolute: max |a - b|. size: max |a|."""

    absolute: float = 0.0
    size: float = 0.0

    def add(self, a: Tensor, b: Tensor) -> None:
        """Add one run: two tensors of the same shape, of which `a` is the right one."""
        if a.numel():
            a, b = a.double(), b.double()
            self.absolute = greatest((self.absolute, float((a - b).abs().max())))
            self.size = greatest((self.size, float(a.abs().max())))

    @property
    def relative(self) -> float:
        return self.absolute / self.size if self.size else self.absolute


def relative_error(a: Tensor, b: Tensor) -> float:
    """The relative error of `b`, which should equal `a`; infinite if it has another shape."""
    if a.shape != b.shape:
        return float("inf")
    error = OutputError()
    error.add(a, b)
    return error.relative


def greatest(numbers: Iterable[float]) -> float:
    """The greatest number; NaN if one is."""
    return max(numbers, key=lambda number: (number != number, number))

"""Bins of objects by area, for data, for evaluation and for their tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SizeBin:
    """Objects with an area from low**2 to high**2 square pixels; an object on the border belongs to both bins."""

    name: str
    low: float
    high: float

    @property
    def areas(self) -> tuple[float, float]:
        """The smallest and the largest area, in square pixels."""
        return self.low**2, self.high**2

    def holds(self, areas: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of the areas [B] belong here, bool [B]."""
        smallest, largest = self.areas
        return (smallest <= areas) & (areas <= largest)


COCO_SIZES = (SizeBin("S", 0, 32), SizeBin("M", 32, 96), SizeBin("L", 96, 1e5))

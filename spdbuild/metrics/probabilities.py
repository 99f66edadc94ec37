"""The probabilities of all classes for each image, and the rows of their table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: The file of the table.
FILE = "probabilities.csv"


@dataclass(frozen=True, eq=False)
class Probabilities:
    """A classifier's probabilities for N images in the order of the data set.

    values: float32 [N, K], by image and class.
    classes: K names. images: N names. labels: int64 [N], the true classes.
    """

    values: NDArray[np.float32]
    classes: tuple[str, ...]
    images: tuple[str, ...]
    labels: NDArray[np.int64]

    def rows(self) -> Iterator[list[str]]:
        """The header, and a row per image with its true class behind its name."""
        yield ["file", "class", *self.classes]
        for name, label, values in zip(self.images, self.labels, self.values, strict=True):
            yield [name, self.classes[label], *cells(values)]


def header(classes: Sequence[str]) -> list[str]:
    """The columns of a table of images whose true classes are not known."""
    return ["file", *classes]


def cells(values: NDArray[np.float32]) -> list[str]:
    """The cells of an image's probabilities, float32 [K], with the digits from which a reader gets the same numbers."""
    return [f"{value:.9g}" for value in values.tolist()]

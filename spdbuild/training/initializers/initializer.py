"""The base of all initializers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spdbuild.declaring.registry import Registry


@dataclass(frozen=True)
class Initializer:
    """Base of all initializers: frozen dataclasses whose fields are the keys of an entry of the section `init`.

    least_dimensions: dimensions that a weight must have; those of norms have one, those of linear layers two.
    """

    name: ClassVar[str] = ""
    least_dimensions: ClassVar[int] = 1

    def fill(self, weight: Tensor) -> None:
        """Overwrite the weight of a layer, with random numbers of torch's global generator."""
        raise NotImplementedError


INITIALIZERS: Registry[Initializer] = Registry("initializer", "spdbuild.training.initializers", "spdbuild.initializers")

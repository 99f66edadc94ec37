"""What metrics are made of, image by image, so that they can be taken of other images than those that were there."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from spdbuild.errors import InputError
from spdbuild.metrics.answers import Answers
from spdbuild.metrics.matches import Matches

#: The file of a report that holds them.
FILE = "by_image.npz"


class ByImage(Protocol):
    """What a network gave for each of N images. Frozen; of its metrics each is one number or undefined."""

    kind: ClassVar[str]

    def __len__(self) -> int:
        """How many images there are."""

    def metrics(self, weights: NDArray[np.float64] | None = None) -> dict[str, float | None]:
        """Metrics by name, with image i counted weights[i] times; once, unless weights [N] are given."""

    def same_images(self, other: Any) -> bool:
        """Whether another of its kind is about the same images in the same order, as far as can be seen."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` makes the same of."""


_KINDS: dict[str, type[Answers] | type[Matches]] = {cls.kind: cls for cls in (Answers, Matches)}


def save(path: Path, found: ByImage) -> None:
    """Fill a file with arrays of numpy, none of them pickled; it ends in .npz."""
    arrays = {"kind": np.array(found.kind), **found.to_arrays()}
    np.savez_compressed(path, allow_pickle=False, **arrays)


def load(path: Path) -> ByImage:
    """What `save` wrote; raises InputError for a file that is damaged or something else."""
    try:
        # Opened here, because numpy leaves a file open that it cannot read.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        found: ByImage = _KINDS[str(arrays.pop("kind"))].from_arrays(arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged, or not what an evaluation writes: {error}") from None
    return found

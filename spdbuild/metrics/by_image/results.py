"""The interface of all kinds of results by image, and their file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from spdbuild.declaring.registry import Registry
from spdbuild.errors import InputError

#: The file of a report that holds them.
FILE = "by_image.npz"

#: The array of the images' names.
_NAMES = "names"

#: What numpy and the kinds raise for damaged files.
_DAMAGE = (OSError, ValueError, LookupError, TypeError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)


class ByImage(Protocol):
    """The results of a network for each of N images. Frozen; each of its metrics is one number or undefined."""

    name: ClassVar[str]

    def __len__(self) -> int:
        """How many images there are."""

    def metrics(self, weights: NDArray[np.float64] | None = None) -> dict[str, float | None]:
        """Metrics by name, with image i counted weights[i] times; once, unless weights [N] are given."""

    def carriers(self, groups: NDArray[np.int64] | None = None) -> dict[str, int]:
        """For each metric the number of images that it rests on; for a mean over classes, that of the rarest class.

        groups: [N], the group of each image, counted from 0; groups are then counted in place of images.
        """

    def shares(self) -> dict[str, NDArray[np.bool_]]:
        """[N] for each metric that is the share of the images for which it is true; none of them need exist."""

    def differing(self, other: Any) -> dict[str, NDArray[np.bool_]]:
        """[N] for each metric: whether the image decides how it differs from that of `other`, of the same images.

        Without the images that do, the metric is the same for both, however often each of the others counts.
        """

    def same_images(self, other: Any) -> bool:
        """Whether another of its kind is about the same images in the same order, as far as can be told."""

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays from which `from_arrays` restores this; none of them has the dtype object."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Any:
        """The results that gave these arrays."""


KINDS: Registry[ByImage] = Registry("kind of results", "spdbuild.metrics.by_image", "spdbuild.by_image")


def save(path: str | Path, found: ByImage, names: Sequence[str] = ()) -> None:
    """Write a file, whose name ends in .npz, with numpy arrays; none of them is pickled.

    names: those of the images in their order, if they have any.
    """
    arrays: dict[str, Any] = {"kind": np.array(found.name), **found.to_arrays()}
    if names:
        arrays[_NAMES] = np.array(names, np.str_)
    np.savez_compressed(path, **arrays)


def load(path: str | Path) -> tuple[ByImage, tuple[str, ...]]:
    """What `save` wrote, and the names; raises InputError for a file that is damaged or something else."""
    try:
        # Opened here, because numpy leaves a file open that it cannot read.
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = dict(file)
        kind, names = str(arrays.pop("kind")), tuple(arrays.pop(_NAMES, np.array((), np.str_)).tolist())
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    if kind not in KINDS:
        raise InputError(f"{path} holds results of the kind '{kind}', which is not known here")
    try:
        found: ByImage = KINDS[kind].from_arrays(arrays)
        found.metrics()
        if names and len(names) != len(found):
            raise ValueError("there is not one name for each image")
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    return found, names


def _damaged(path: str | Path, error: BaseException) -> InputError:
    return InputError(f"{path} is damaged, or not what an evaluation writes: {error}")

"""What a data set for classification is, and the registry of all data sets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from spdbuild.data.files.images import ArrayImages, ImageSet
from spdbuild.data.files.listing import Listing
from spdbuild.data.files.reading import Reading
from spdbuild.declaring.registry import Registry
from spdbuild.errors import DataError

Split = Literal["train", "val", "test"]

#: Keys below `data:` of a recipe.
Fields = dict[str, str]


class DataSet(Protocol):
    """A frozen dataclass whose fields are the keys below `data:` of a recipe."""

    name: ClassVar[str]
    task: ClassVar[Literal["classification"]]

    # One with other splits than `train` and `test` has a property `splits`, see `splits_of`.

    def open(self, split: Split) -> ImageSet:
        """The images of one split; DataError where the files are not what they should be."""
        ...

    @classmethod
    def sample(cls) -> ArrayImages:
        """A few images made in memory, of the size and with the classes that a split has."""
        ...


@runtime_checkable
class FileDataSet(Protocol):
    """One that says which files it reads and how, so that `spdbuild data check` also sees those that `open` refuses.

    A data set has both members or neither.
    """

    def listing(self, split: Split) -> Listing:
        """The files of one split, whether they can be read or not."""
        ...

    @property
    def reading(self) -> Reading:
        """How `open` turns them into images: resized from any size, or all of one size."""
        ...


def splits_of(data_set: Any) -> tuple[Split, ...]:
    """The splits of a data set for classification: for training, for evaluation during it, and held out for the end."""
    splits: tuple[Split, ...] = getattr(data_set, "splits", ("train", "test"))
    return splits


def differing_class(trained: Sequence[str], evaluated: Sequence[str]) -> str:
    """The first class in which the images to train on and those to evaluate on differ, in words; empty if in none."""
    for number, names in enumerate(zip_longest(trained, evaluated)):
        if names[0] != names[1]:
            ours, theirs = ("missing" if name is None else f"'{name}'" for name in names)
            return f"class {number} is {ours} in the images to train on and {theirs} in those to evaluate on"
    return ""


def require_same_classes(trained: Sequence[str], evaluated: Sequence[str]) -> None:
    """Refuse images to evaluate on whose classes differ from those to train on; raises DataError."""
    if differing := differing_class(trained, evaluated):
        raise DataError(differing, hint="both need the same classes in the same order, also those without an image")


DATASETS: Registry[Any] = Registry("data set", "spdbuild.data.sets", "spdbuild.datasets")

"""What a data set for classification is, and the registry of all data sets."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

from spdbuild.data.images import ArrayImages, ImageSet
from spdbuild.registry import Registry

Split = Literal["train", "test"]

#: Keys below `data:` of a recipe.
Fields = dict[str, str]


class DataSet(Protocol):
    """A frozen dataclass whose fields are the keys below `data:` of a recipe."""

    name: ClassVar[str]
    task: ClassVar[Literal["classification"]]

    def open(self, split: Split) -> ImageSet:
        """The images of one split; DataError where the files are not what they should be."""
        ...

    @classmethod
    def sample(cls) -> ArrayImages:
        """A few images made in memory, of the size and with the classes that a split has."""
        ...


DATASETS: Registry[Any] = Registry("data set", "spdbuild.data", "spdbuild.datasets")

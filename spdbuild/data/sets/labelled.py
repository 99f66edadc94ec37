"""What the data sets of image files with a class each have in common: their splits, and how they are divided."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from spdbuild.data.dataset import Split
from spdbuild.data.division.folds import listed_part, require_folds, require_together
from spdbuild.data.division.shares import share_part
from spdbuild.data.files.decoding import Resize
from spdbuild.data.files.images import ArrayImages, ImageSet
from spdbuild.data.files.levels import Levels, require_levels
from spdbuild.data.files.listing import Listing
from spdbuild.data.files.reading import OnError, Reading, open_listing
from spdbuild.data.sets.noise import noise_images
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError
from spdbuild.shape import Size


class LabelledFiles(ABC):
    """Base of dataclasses that list such files, with these fields among theirs.

    Below `root`, `train`, `val` and `test` are the names of what holds each split, a folder or a file; the last two may
    be empty. usual_val: the names that are looked for then, and usual_test: those for the split `test`.
    """

    task: ClassVar[Literal["classification"]] = "classification"
    usual_val: ClassVar[tuple[str, ...]]
    usual_test: ClassVar[tuple[str, ...]]

    root: str
    train: str
    val: str
    test: str
    val_share: float
    folds: int
    fold: int
    together: str | None
    size: Size | None
    resize: Resize
    levels: Levels
    on_error: OnError
    memory_gib: float

    def __post_init__(self) -> None:
        require_range(self, "size", least=1)
        require_range(self, "memory_gib", least=0)
        require_range(self, "val_share", least=0, below=1)
        require_folds(self)
        given = [name for name in ("folds", "val_share", "val") if getattr(self, name)]
        if len(given) > 1:
            message = f"{given[0]} and {given[1]} both say what the validation split is"
            raise ArgumentError(message, argument=given[0])
        require_together(self, divided=self.divided, hint="say val_share: 0.2 or folds: 5, or leave it out")
        require_levels(self)

    @property
    def reading(self) -> Reading:
        return Reading(self.size, self.resize, self.on_error, self.memory_gib, self.levels)

    @property
    def splits(self) -> tuple[Split, ...]:
        """As what holds them is called; `test` also if there is none to evaluate on."""
        if not (self.divided or self.val or self.existing(self.val_names())):
            return "train", "test"
        return ("train", "val", "test") if self.test or self.existing(self.test_names()) else ("train", "val")

    def open(self, split: Split) -> ImageSet:
        return open_listing(self.listing(split), self.reading)

    def listing(self, split: Split) -> Listing:
        if split == "test" or (split == "val" and not self.divided):
            return self.list_held_out(split)
        whole = self.list_train()
        if self.folds:
            return listed_part(whole, self, held_out=split == "val")
        return share_part(whole, self.val_share, self.together, held_out=split == "val") if self.val_share else whole

    @classmethod
    def sample(cls) -> ArrayImages:
        return noise_images(classes=("cat", "dog"), size=16)

    @property
    def divided(self) -> bool:
        """Whether the validation split is a part of the images to train on."""
        return bool(self.val_share or self.folds)

    def val_names(self) -> Sequence[str]:
        """Names that what holds the split `val` may have."""
        if self.divided:
            return ()
        return (self.val,) if self.val else _without(self.test, self.usual_val)

    def test_names(self) -> Sequence[str]:
        """Names that what holds the split `test` may have, those of `val` among them if it holds no such split."""
        if self.test:
            return (self.test,)
        also = () if not self.divided and self.existing(self.val_names()) else self.usual_val
        return _without(self.val, (*self.usual_test, *also))

    @abstractmethod
    def existing(self, names: Iterable[str]) -> str | None:
        """The first of `names` that holds a split."""
        ...

    @abstractmethod
    def list_train(self) -> Listing:
        """The images to train on, those that are held out among them."""
        ...

    @abstractmethod
    def list_held_out(self, split: Split) -> Listing:
        """Those of a split that is held by something of its own; MissingSplitError if there is none."""
        ...


def _without(name: str, names: Iterable[str]) -> list[str]:
    return [other for other in names if other != name]

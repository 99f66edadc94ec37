"""What the data sets of files with annotations have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from spdbuild.data.detection.dataset import DetectionSplit, usable
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.division.folds import part, require_folds, require_together
from spdbuild.data.files.levels import Levels, require_levels
from spdbuild.data.files.reading import OnError
from spdbuild.data.sets.tiny_objects import TinyObjects


class AnnotatedFiles(ABC):
    """Base of dataclasses that read one format, with these fields among theirs."""

    task: ClassVar[Literal["detection"]] = "detection"

    folds: int
    fold: int
    together: str | None
    levels: Levels
    on_error: OnError

    def __post_init__(self) -> None:
        require_folds(self)
        require_together(self, divided=bool(self.folds), hint="say folds: 5, or leave it out")
        require_levels(self)

    def open(self, split: DetectionSplit) -> DetectionSet:
        return usable(self.read(split), self.on_error)

    def read(self, split: DetectionSplit) -> DetectionSet:
        """With folds, the splits train and val are made of what the files have for training."""
        if not self.folds or split == "test":
            return self.read_files(split)
        whole = self.read_files("train")
        names = [image.name for image in whole.images]
        classes = [own.classes[own.counted].tolist() for own in map(whole.of_image, range(len(whole)))]
        return whole.part(part(names, [0] * len(whole), self, held_out=split == "val", classes=classes))

    @abstractmethod
    def read_files(self, split: DetectionSplit) -> DetectionSet:
        """The split that the files have; raises as `read` of a data set for detection."""
        ...

    @classmethod
    def sample(cls) -> DetectionSet:
        return TinyObjects.sample()

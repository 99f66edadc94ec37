"""What a registered data set for detection is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import ClassVar, Literal, Protocol, get_args

from spdbuild.data.detection.check import without_bad_images
from spdbuild.data.detection.findings import refuse_grave
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.reading import OnError
from spdbuild.errors import DataError, MissingSplitError
from spdbuild.phrases import some

DetectionSplit = Literal["train", "val", "test"]


class DetectionDataSet(Protocol):
    """A frozen dataclass whose fields are the keys below `data:` of a recipe."""

    name: ClassVar[str]
    task: ClassVar[Literal["detection"]]

    def open(self, split: DetectionSplit) -> DetectionSet:
        """The images and objects of one split; DataError where the files are not what they should be."""
        ...

    def read(self, split: DetectionSplit) -> DetectionSet:
        """The same with everything that is wrong as findings, for a check.

        Raises DataError where nothing can be read, MissingSplitError where nothing is.
        """
        ...

    @classmethod
    def sample(cls) -> DetectionSet:
        """A few images made in memory."""
        ...


def usable(dataset: DetectionSet, on_error: OnError) -> DetectionSet:
    """The data set as training and evaluation may have it.

    on_error: "refuse" raises a DataError if annotations or image files are missing or unfit; "skip" leaves out what
        cannot be used, for which it reads all images once.
    """
    if on_error == "skip":
        kept = without_bad_images(dataset)
        if not len(kept):
            raise DataError(f"none of the {len(dataset)} images can be read; the last: {kept.findings[-1]}")
        return kept
    refuse_grave(dataset.findings)
    missing = [image.path for image in dataset.images if image.path is not None and not image.path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(dataset)} images do not exist; the first: {missing[0]}",
            hint="is the folder of images right? on_error: skip goes on without them",
        )
    return dataset


def splits_of(data_set: DetectionDataSet, needed: tuple[DetectionSplit, ...] = ("train",)) -> dict[str, DetectionSet]:
    """Every split that is there, with what is wrong as findings; MissingSplitError if a `needed` one is not."""
    splits: dict[str, DetectionSet] = {}
    for split in get_args(DetectionSplit):
        with contextlib.nullcontext() if split in needed else contextlib.suppress(MissingSplitError):
            splits[split] = data_set.read(split)
    return splits


def existing(root: Path, name: str, failure: type[DataError] = DataError) -> Path:
    """`name` below `root`; raises `failure` if there is no such file or folder."""
    path = root / name
    if not path.exists():
        raise failure(f"{path} does not exist", hint=f"what is there: {_listing(path.parent)}")
    return path


def _listing(folder: Path) -> str:
    if not folder.is_dir():
        return f"no folder {folder}"
    return some(sorted(path.name for path in folder.iterdir()), 10)

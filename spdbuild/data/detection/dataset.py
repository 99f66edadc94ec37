"""What a registered data set for detection is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import ClassVar, Literal, Protocol, get_args

from spdbuild.data.detection.check import without_bad_images
from spdbuild.data.detection.findings import refuse_grave
from spdbuild.data.detection.pixels import image_size, other_size
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.files.listing import entries
from spdbuild.data.files.reading import OnError
from spdbuild.errors import DataError, MissingSplitError
from spdbuild.wording.phrases import some

#: The number of images whose size is compared with that of their annotations before use.
_LOOKED_AT = 32

DetectionSplit = Literal["train", "val", "test"]


class DetectionDataSet(Protocol):
    """A frozen dataclass whose fields are the keys below `data:` of a recipe."""

    name: ClassVar[str]
    task: ClassVar[Literal["detection"]]

    def open(self, split: DetectionSplit) -> DetectionSet:
        """The images and objects of one split; DataError where the files are not what they should be."""
        ...

    def read(self, split: DetectionSplit) -> DetectionSet:
        """The same, but with everything that is wrong as findings, for a check.

        Raises DataError if nothing can be read, MissingSplitError if the split does not exist.
        """
        ...

    @classmethod
    def sample(cls) -> DetectionSet:
        """A few images made in memory."""
        ...


def usable(dataset: DetectionSet, on_error: OnError) -> DetectionSet:
    """The data set as training and evaluation may use it.

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
    _refuse_other_sizes(dataset)
    return dataset


def _refuse_other_sizes(dataset: DetectionSet) -> None:
    """Refuse a data set if any of a few images, spread over all, has another size than it was annotated for."""
    for image in dataset.images[:: max(1, len(dataset) // _LOOKED_AT)]:
        size = None if image.path is None else image_size(image.path)
        finding = other_size(image, size) if isinstance(size, tuple) else None
        if finding is not None:
            raise DataError(
                f"the annotations are of images of another size: {finding}",
                hint="list all such images with `spdbuild data check`; on_error: skip leaves them out",
            )


def splits_of(data_set: DetectionDataSet, needed: tuple[DetectionSplit, ...] = ("train",)) -> dict[str, DetectionSet]:
    """Every split that exists, with what is wrong as findings; MissingSplitError if a `needed` one does not."""
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
    return some((path.name for path in entries(folder)), 10)

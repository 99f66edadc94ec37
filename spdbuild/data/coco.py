"""Data sets with annotations in COCO's JSON."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from spdbuild.data.dataset import DATASETS, Fields
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.dataset import DetectionSplit, existing, usable
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.reading import OnError
from spdbuild.data.tiny_objects import TinyObjects
from spdbuild.errors import MissingSplitError
from spdbuild.roles import Role, role

#: Where the annotations of a split are in the usual layouts, and its images, which have the first of these places.
_LAYOUTS = {
    "annotations/instances_{}2017.json": ("{}2017", "images/{}2017"),
    "annotations/instances_{}.json": ("images/{}", "{}"),
    "annotations/{}.json": ("images/{}", "{}", "images"),
    "{}.json": ("images/{}", "images"),
    "{}/_annotations.coco.json": ("{}",),
}

#: What the splits are called.
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@DATASETS.register
@dataclass(frozen=True)
class Coco:
    """Images and one annotation file for each split; without other paths, COCO 2017 as it is published.

        root/
          images/train/*.jpg           train_images: images/train
          annotations/train.json       train_annotations: annotations/train.json; and so for val

    root: the folder that the other paths start from, as seen from the current folder.
    train_images, val_images, test_images: folders of images.
    train_annotations, val_annotations, test_annotations: JSON files.
    ignore: names of categories that are no classes; detections in their regions do not count.
    on_error: refuse annotations and images that cannot be used, or skip them.

    Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", arXiv:1405.0312.
    """

    task: ClassVar[Literal["detection"]] = "detection"

    root: str = field(metadata=role(Role.RESUMED))
    train_images: str = "train2017"
    train_annotations: str = "annotations/instances_train2017.json"
    val_images: str = "val2017"
    val_annotations: str = "annotations/instances_val2017.json"
    test_images: str = "test2017"
    test_annotations: str = "annotations/instances_test2017.json"
    ignore: tuple[str, ...] = ()
    on_error: OnError = "refuse"

    def open(self, split: DetectionSplit) -> DetectionSet:
        return usable(self.read(split), self.on_error)

    def read(self, split: DetectionSplit) -> DetectionSet:
        root = Path(self.root).expanduser()
        annotations = existing(root, getattr(self, f"{split}_annotations"), MissingSplitError)
        return read_coco(annotations, existing(root, getattr(self, f"{split}_images")), ignore=self.ignore)

    @classmethod
    def fields_in(cls, root: Path) -> Fields | None:
        fields = {"root": str(root)}
        for split, names in _SPLITS.items():
            fields |= _split_fields(root, split, names)
        return fields if "train_annotations" in fields else None

    @classmethod
    def sample(cls) -> DetectionSet:
        return TinyObjects.sample()


def _split_fields(root: Path, split: str, names: tuple[str, ...]) -> Fields:
    """Where `root` has a split that is called one of `names`; empty if nowhere."""
    for name, (file, folders) in itertools.product(names, _LAYOUTS.items()):
        found = next((folder for folder in folders if (root / folder.format(name)).is_dir()), None)
        if found and (root / file.format(name)).is_file():
            return {f"{split}_annotations": file.format(name), f"{split}_images": found.format(name)}
    return {}

"""Data sets with annotations in COCO's JSON."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path

from spdbuild.data.dataset import DATASETS, Fields
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.dataset import DetectionSplit, existing
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.files.decoding import is_image_name
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.listing import entries
from spdbuild.data.files.reading import OnError
from spdbuild.data.sets.annotated import AnnotatedFiles
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import MissingSplitError, UnsplitError
from spdbuild.system.files import expanded

#: The usual layouts: where a split has its annotations, and where its images may be; the first that exists counts.
_LAYOUTS = {
    "annotations/instances_{}2017.json": ("{}2017", "images/{}2017"),
    "annotations/instances_{}.json": ("images/{}", "{}", "images"),
    "annotations/{}.json": ("images/{}", "{}", "images"),
    "{}.json": ("images/{}", "images"),
    "{}/_annotations.coco.json": ("{}",),
    "{}/labels.json": ("{}/data",),
}

#: The same for data sets that are not split, as CVAT and FiftyOne write them: all images are for training.
_UNSPLIT = {
    "annotations/instances_default.json": ("images/default", "images"),
    "labels.json": ("data",),
}

#: The names that each split may have.
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@DATASETS.register
@dataclass(frozen=True)
class Coco(AnnotatedFiles):
    """Images and one annotation file for each split; without other paths, COCO 2017 as it is published.

        root/
          images/train/*.jpg           train_images: images/train
          annotations/train.json       train_annotations: annotations/train.json; and so for val

    root: the folder that the other paths start from, relative to the current folder.
    train_images, val_images, test_images: folders of images.
    train_annotations, val_annotations, test_annotations: JSON files; empty for a split that does not exist.
    ignore: names of categories that are not classes; detections in their regions do not count.
    folds: number of parts into which the training images are divided; 0: none.
    fold: number, from 0, of the part that is the split val, in place of one that the files have.
    together: regular expression; images in whose names, below the folder of images, it or its part in parentheses
        matches the same text are in one part. Empty: each image is divided by itself.
    levels: values that become black and white in grey images of 16 bits, of 32, or of floating point numbers.
    on_error: refuse annotations and images that cannot be used, or skip them.

    Texts that are numbers, such as "12", count as numbers, also as ids. The size of an image for which width or height
    is missing, null or 0 is read from its file. A segmentation that is one flat list of numbers is one polygon.

    Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context", arXiv:1405.0312.
    """

    root: str = field(metadata=role(Role.RESUMED))
    train_images: str = "train2017"
    train_annotations: str = "annotations/instances_train2017.json"
    val_images: str = "val2017"
    val_annotations: str = "annotations/instances_val2017.json"
    test_images: str = "test2017"
    test_annotations: str = "annotations/instances_test2017.json"
    ignore: tuple[str, ...] = ()
    folds: int = 0
    fold: int = 0
    together: str | None = None
    levels: Levels = None
    on_error: OnError = "refuse"

    def read_files(self, split: DetectionSplit) -> DetectionSet:
        root = expanded(self.root)
        file = getattr(self, f"{split}_annotations")
        if not file:
            raise UnsplitError(
                f"{root} has no split '{split}': all images are in '{self.train_annotations}'",
                hint=f"write the annotations of some of them into another file, and name it {split}_annotations",
            )
        annotations = existing(root, file, MissingSplitError)
        images = existing(root, getattr(self, f"{split}_images"))
        return replace(read_coco(annotations, images, ignore=self.ignore), levels=self.levels)

    @classmethod
    def fields_in(cls, root: Path) -> Fields | None:
        fields = {"root": str(root)}
        for split, names in _SPLITS.items():
            fields |= _split_fields(root, split, names)
        if "train_annotations" in fields:
            return fields
        for file, folders in _UNSPLIT.items():
            found = next((folder for folder in folders if (root / folder).is_dir()), None)
            if found and (root / file).is_file():
                return {"root": str(root), "train_annotations": file, "train_images": found, "val_annotations": ""}
        return None


def _split_fields(root: Path, split: str, names: tuple[str, ...]) -> Fields:
    """Where `root` has a split under one of `names`; empty if it has none."""
    for name, (file, folders) in itertools.product(names, _LAYOUTS.items()):
        found = next((folder for folder in folders if (root / folder.format(name)).is_dir()), None)
        if found and (root / file.format(name)).is_file():
            return {f"{split}_annotations": file.format(name), f"{split}_images": found.format(name)}
    for name in names:
        # A folder of class folders may have a file of this name beside it.
        if (root / f"{name}.json").is_file() and _holds_images(root / name):
            return {f"{split}_annotations": f"{name}.json", f"{split}_images": name}
    return {}


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and any(map(is_image_name, entries(folder)))

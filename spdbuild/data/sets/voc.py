"""Data sets in Pascal VOC's layout."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from spdbuild.data.dataset import DATASETS, Fields
from spdbuild.data.detection.dataset import DetectionSplit
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.detection.voc_xml import is_loose, read_voc
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.reading import OnError
from spdbuild.data.sets.annotated import AnnotatedFiles
from spdbuild.declaring.roles import Role, role
from spdbuild.system.files import expanded


@DATASETS.register
@dataclass(frozen=True)
class Voc(AnnotatedFiles):
    """An XML file for each image, and lists of the images of each split; without any list, all images are for training.

    Without these folders the XML files may also be beside the images, in images or in root itself.

    root: the folder with Annotations, JPEGImages and ImageSets, relative to the current folder.
    train, val, test: names of the splits' lists in ImageSets/Main.
    names: the classes in their order; if empty, all that the annotations name, in alphabetical order.
    ignore: names of categories that are not classes; detections in their regions do not count.
    folds: number of parts into which the training images are divided; 0: none.
    fold: number, from 0, of the part that is the split val, in place of one that the files have.
    together: regular expression; images in whose names, below the folder of images, it or its part in parentheses
        matches the same text are in one part. Empty: each image is divided by itself.
    levels: values that become black and white in grey images of 16 bits, of 32, or of floating point numbers.
    on_error: refuse annotations and images that cannot be used, or skip them.

    Source: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge", IJCV 88.
    """

    root: str = field(metadata=role(Role.RESUMED))
    train: str = "train"
    val: str = "val"
    test: str = "test"
    names: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    folds: int = 0
    fold: int = 0
    together: str | None = None
    levels: Levels = None
    on_error: OnError = "refuse"

    def read_files(self, split: DetectionSplit) -> DetectionSet:
        root = expanded(self.root)
        return replace(read_voc(root, getattr(self, split), names=self.names, ignore=self.ignore), levels=self.levels)

    @classmethod
    def fields_in(cls, root: Path) -> Fields | None:
        there = all((root / name).is_dir() for name in ("Annotations", "JPEGImages"))
        # A YAML says that the XML files are left from before a conversion.
        loose = not any(root.glob("*.y*ml")) and is_loose(root)
        return {"root": str(root)} if there or loose else None

"""Data sets in YOLO's layout."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from spdbuild.data.dataset import DATASETS, Fields
from spdbuild.data.detection.dataset import DetectionSplit
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.detection.yolo_txt import read_yolo
from spdbuild.data.detection.yolo_yaml import dataset_yaml_in
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.reading import OnError
from spdbuild.data.sets.annotated import AnnotatedFiles
from spdbuild.declaring.roles import Role, role
from spdbuild.system.files import expanded


@DATASETS.register
@dataclass(frozen=True)
class Yolo(AnnotatedFiles):
    """A dataset YAML as other YOLO tools use it, with a text file of boxes or outlines for each image.

        data.yaml                  path: folder            the YAML's own folder, if empty
                                   train: images/train     a folder, a file with one path per line, or a list of them
                                   val: images/val         test: is optional
                                   names: [person, car]
        images/train/*.jpg         any image format, also in folders below
        labels/train/*.txt         a line per object: class x y width height, centre and size as fractions of the image

    `path` is looked for beside the YAML, then in the current folder. An image without a text file has no objects. With
    kpt_shape: [keypoints, numbers of each], a line has keypoints after its box; they are left out.

    file: the dataset YAML, relative to the current folder; its keys path, train, val, test, names, kpt_shape are used.
    ignore: names of categories that are not classes; detections in their regions do not count.
    folds: number of parts into which the training images are divided; 0: none.
    fold: number, from 0, of the part that is the split val, in place of one that the files have.
    together: regular expression; images in whose names, below the folder of images, it or its part in parentheses
        matches the same text are in one part. Empty: each image is divided by itself.
    levels: values that become black and white in grey images of 16 bits, of 32, or of floating point numbers.
    on_error: refuse annotations and images that cannot be used, or skip them.

    Source: the format of Redmon's Darknet and of the data set files of YOLOv5, as in common use.
    """

    file: str = field(metadata=role(Role.RESUMED))
    ignore: tuple[str, ...] = ()
    folds: int = 0
    fold: int = 0
    together: str | None = None
    levels: Levels = None
    on_error: OnError = "refuse"

    def read_files(self, split: DetectionSplit) -> DetectionSet:
        return replace(read_yolo(expanded(self.file), split, ignore=self.ignore), levels=self.levels)

    @classmethod
    def fields_in(cls, root: Path) -> Fields | None:
        file = dataset_yaml_in(root)
        return {"file": str(file)} if file else None

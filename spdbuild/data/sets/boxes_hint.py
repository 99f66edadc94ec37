"""What to do with a folder that has boxes in a layout or a format that is not read as it is."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from spdbuild.data.detection.yolo_yaml import dataset_yaml_in

#: Characters of a file that are searched for what only LabelMe or CVAT writes.
_HEAD = 4096


def boxes_hint(root: Path) -> str:
    """How the boxes in a folder, or in one of its folders, can be read; empty if it seems to have none."""
    if (file := dataset_yaml_in(root)) is not None:
        return f"its boxes are read with data: {{name: yolo, file: {file}}}"
    if (root / "obj.names").is_file():
        return _darknet_hint(root)
    if (root / "images").is_dir() and (root / "labels").is_dir():
        return f"YOLO's files are read from a dataset YAML: write {root}/data.yaml with train, val and names"
    document = next(itertools.chain.from_iterable(root.glob(f"{below}*.json") for below in ("", "annotations/")), None)
    if any(_is_labelme(file) for file in (document, next(root.glob("*/*.json"), None)) if file is not None):
        return "LabelMe's JSON files are not read: export COCO or YOLO from it"
    if document is not None:
        return (
            "COCO's files are read with name: coco, train_images: ..., train_annotations: ..., and so for val; found "
            "without that are annotations/instances_train.json or annotations/train.json with images/train/ or train/, "
            "train.json with train/, train/_annotations.coco.json, and labels.json with data/"
        )
    if any(map(_is_cvat, root.glob("*.xml"))):
        return "CVAT's own XML is not read: export COCO 1.0 from it"
    if any(root.glob("*/*.xml")):
        return (
            "Pascal VOC's files are read from one folder: XML files in Annotations/ with the images in JPEGImages/, or "
            "beside the images; ImageSets/Main/train.txt and val.txt name the images of each split"
        )
    return ""


def _darknet_hint(root: Path) -> str:
    """The dataset YAML for what CVAT exports as YOLO 1.1: names in obj.names, images and labels in obj_train_data."""
    names = (root / "obj.names").read_text(encoding="utf-8-sig", errors="replace").splitlines()
    names = [name.strip() for name in names if name.strip()]
    folders = sorted(path.name for path in root.glob("obj_*_data") if path.is_dir())
    train = next((name for name in folders if "train" in name.lower()), "FOLDER")
    val = next((name for name in folders if "val" in name.lower()), "FOLDER")
    moved = "; move some of the images with their labels into FOLDER" if "FOLDER" in (train, val) else ""
    entries = {"train": train, "val": val, "names": names}
    return (
        f"these are Darknet's files, such as CVAT's YOLO 1.1: write {root}/data.yaml with "
        f"{json.dumps(entries, ensure_ascii=False)}, which is YAML{moved}"
    )


def _is_labelme(file: Path) -> bool:
    head = _head(file)
    return '"shapes"' in head and '"images"' not in head


def _is_cvat(file: Path) -> bool:
    head = _head(file)
    return "<annotations>" in head and "<version>" in head


def _head(file: Path) -> str:
    if not file.is_file():
        return ""
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.read(_HEAD)

"""COCO's annotation files: one JSON document with images, annotations and categories.

Source: Lin et al. 2014, "Microsoft COCO", arXiv:1405.0312, and the data format page of cocodataset.org.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spdbuild.data.detection.coco_fields import (
    annotation_fault,
    category_fault,
    image_fault,
    is_id,
    mask_fault,
    read_outline,
    with_numbers,
    written_size,
)
from spdbuild.data.detection.findings import Finding, Kind
from spdbuild.data.detection.pixels import image_size
from spdbuild.data.detection.table import NO_CLASS, DetectionSet, ImageRecord, Objects, Table
from spdbuild.data.files.listing import with_slashes
from spdbuild.errors import DataError, Location, nearest
from spdbuild.system.files import regular

#: What a document consists of.
_LISTS = ("images", "annotations", "categories")


def read_coco(annotations: Path, images: Path, *, ignore: Sequence[str] = ()) -> DetectionSet:
    """The images and objects of one annotation file.

    images: the folder that the file names in it start from.
    ignore: names of categories that are not classes; their objects become regions where detections do not count.

    Classes are the other categories in the order of their ids.
    """
    document = _load(annotations)
    classes, category_ids, names = _categories(document, annotations, ignore)
    table = Table(names, category_ids)
    positions = _add_images(table, document, annotations, images)
    reader = _Rows(table, annotations, classes, positions, document["annotations"])
    for number, entry in enumerate(document["annotations"]):
        reader.add(number, entry)
    return table.build(str(annotations))


def to_coco(dataset: DetectionSet, *, outlines: bool = True) -> dict[str, Any]:
    """The data set as a document that `read_coco` reads; objects to be ignored are written as crowd.

    An object without a class becomes a crowd region of every class, so that it hides detections of all of them.

    outlines: whether objects keep their polygons and masks, which take most of the memory.
    """
    annotations: list[dict[str, Any]] = []
    objects, owners = dataset.objects, dataset.image_index
    taken = set(objects.ids.tolist())
    fresh = max(taken, default=0)
    for row in range(len(objects)):
        class_ = int(objects.classes[row])
        for repetition, member in enumerate(range(len(dataset.names)) if class_ == NO_CLASS else [class_]):
            fresh += repetition > 0
            number = fresh if repetition else int(objects.ids[row])
            annotation = _annotation(dataset, row, int(owners[row]), member, number)
            if outlines:
                annotation["segmentation"] = _segmentation(objects, row)
            annotations.append(annotation)
    return {
        "images": [
            {"id": image.id, "file_name": image.name, "width": image.width, "height": image.height}
            for image in dataset.images
        ],
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name} for number, name in zip(dataset.category_ids, dataset.names, strict=True)
        ],
    }


def _annotation(dataset: DetectionSet, row: int, image: int, class_: int, number: int) -> dict[str, Any]:
    objects = dataset.objects
    left, top, right, bottom = objects.boxes_xyxy[row].tolist()
    return {
        "id": number,
        "image_id": dataset.images[image].id,
        "category_id": dataset.category_ids[class_],
        # The sum of corner and size is not exact; rounding to 9 decimals restores what was read.
        "bbox": [left, top, round(right - left, 9), round(bottom - top, 9)],
        "area": float(objects.area[row]),
        "iscrowd": int(objects.crowd[row] or objects.ignored[row]),
    }


def _segmentation(objects: Objects, row: int) -> Any:
    mask = objects.masks[row]
    return [polygon.ravel().tolist() for polygon in objects.outlines[row]] if mask is None else json.loads(mask)


def _load(path: Path) -> dict[str, Any]:
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1] if text else ""
        raise DataError(
            f"this is not JSON: {error.msg}", location=Location(str(path), error.lineno, error.colno, line)
        ) from None
    except (RecursionError, ValueError):
        raise DataError(f"{path} is nested too deeply, or has too long a number, to be annotations") from None
    for key in _LISTS:
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise DataError(
                f"{path} has no list '{key}'", hint="a COCO file is a mapping with images, annotations and categories"
            )
    return {**document, **{key: list(map(with_numbers, document[key])) for key in _LISTS}}


def _categories(
    document: Mapping[str, Any], path: Path, ignore: Sequence[str]
) -> tuple[dict[int, int], list[int], list[str]]:
    """For each category id its class (NO_CLASS if ignored); the ids and the names of the classes."""
    known: dict[int, str] = {}
    for entry in document["categories"]:
        fault = category_fault(entry)
        if fault is not None:
            raise DataError(f"{path}: {fault}")
        if entry["id"] in known:
            raise DataError(f"{path}: two categories have the id {entry['id']}")
        known[int(entry["id"])] = str(entry["name"])
    for name in ignore:
        if name not in known.values():
            raise DataError(f"{path} has no category '{name}' to ignore", hint=nearest(name, known.values()))
    category_ids = [number for number in sorted(known) if known[number] not in ignore]
    if not category_ids:
        raise DataError(f"{path} has no categories to find")
    classes = {number: class_ for class_, number in enumerate(category_ids)}
    return {number: classes.get(number, NO_CLASS) for number in known}, category_ids, [known[i] for i in category_ids]


def _add_images(table: Table, document: Mapping[str, Any], path: Path, folder: Path) -> dict[int, int]:
    """The position in the table of each image id."""
    positions: dict[int, int] = {}
    for number, entry in enumerate(document["images"]):
        image = _image(entry, folder, f"{path}: image at position {number}")
        if isinstance(image, Finding):
            table.findings.append(image)
        elif image.id in positions:
            detail = f"a second image, '{image.name}', has this id"
            table.findings.append(Finding("duplicate image id", f"{path}: image {image.id}", detail))
        else:
            positions[image.id] = len(table.images)
            table.images.append(image)
    return positions


def _image(entry: Any, folder: Path, where: str) -> ImageRecord | Finding:
    """An image with the size in its entry, or else that of its file."""
    fault = image_fault(entry)
    if fault is not None:
        return Finding("malformed image entry", where, fault)
    name = with_slashes(folder, entry["file_name"])
    size = written_size(entry) or image_size(folder / name)
    if isinstance(size, Finding):
        return size
    height, width = size
    return ImageRecord(int(entry["id"]), name, folder / name, width, height)


class _Rows:
    """Adds annotations to a table, or findings for those that cannot be used."""

    def __init__(
        self, table: Table, path: Path, classes: Mapping[int, int], positions: Mapping[int, int], entries: list[Any]
    ) -> None:
        self._table, self._path, self._classes, self._positions = table, path, classes, positions
        given = [int(entry["id"]) for entry in entries if isinstance(entry, dict) and is_id(entry.get("id"))]
        self._ids: set[int] = set()
        self._fresh = itertools.count(max(given, default=0) + 1)

    def add(self, number: int, entry: Any) -> None:
        where = f"{self._path}: annotation at position {number}"
        fault = self._fault(entry)
        if fault is not None:
            self._table.findings.append(Finding(fault[0], where, fault[1]))
            return
        given = entry.get("segmentation")
        outline = read_outline(given)
        if isinstance(outline, str):
            self._table.findings.append(Finding("malformed row", where, outline))
            return
        area = entry.get("area")
        self._table.add(
            self._positions[entry["image_id"]],
            _box(entry),
            self._classes[entry["category_id"]],
            area=None if area is None else float(area),
            crowd=bool(entry.get("iscrowd")),
            ignored=self._classes[entry["category_id"]] == NO_CLASS,
            id=self._id(entry, where),
            outline=outline,
            mask=self._mask(given, where),
        )

    def _fault(self, entry: Any) -> tuple[Kind, str] | None:
        fault = annotation_fault(entry)
        if fault is not None:
            return "malformed row", fault
        if entry["image_id"] not in self._positions:
            return "unknown image", f"there is no image {entry['image_id']} that can be used"
        if entry["category_id"] not in self._classes:
            return "unknown category", f"there is no category {entry['category_id']}"
        left, top, right, bottom = box = _box(entry)
        image = self._table.images[self._positions[entry["image_id"]]]
        # A box without an area has a finding of its own, which hides no object.
        if left < right and top < bottom and not image.shows(box):
            return "box off image", f"bbox {entry['bbox']} lies beside its image of {image.width}x{image.height} pixels"
        return None

    def _mask(self, segmentation: Any, where: str) -> str | None:
        """The mask of run lengths as a text; a malformed one is left out: training and evaluation read none."""
        if not isinstance(segmentation, dict) or not segmentation:
            return None
        fault = mask_fault(segmentation)
        if fault is not None:
            self._table.findings.append(Finding("malformed mask", where, f"{fault}; the mask is left out"))
            return None
        return json.dumps(segmentation)

    def _id(self, entry: Mapping[str, Any], where: str) -> int:
        """The annotation's id if it has one of its own, else a new one."""
        given = entry.get("id")
        if is_id(given) and given > 0 and given not in self._ids:
            self._ids.add(int(given))
            return int(given)
        if is_id(given) and given in self._ids:
            self._table.findings.append(Finding("duplicate annotation id", where, "another annotation has this id"))
        return next(self._fresh)


def _box(entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    left, top, width, height = map(float, entry["bbox"])
    return left, top, left + width, top + height

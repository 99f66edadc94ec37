"""YOLO's files: a dataset YAML, and a text file beside each image with a line for each object.

class centre_x centre_y width height          fractions of the image
class x1 y1 x2 y2 x3 y3 ...                   an outline of three points or more; its extent is the box

If the YAML has `kpt_shape: [keypoints, 2 or 3 numbers each]`, every line is a box followed by keypoints, which are left
out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.ids import category_ids, image_ids
from spdbuild.data.detection.outlines import Polygon, signed_area
from spdbuild.data.detection.pixels import image_size
from spdbuild.data.detection.table import NO_CLASS, DetectionSet, ImageRecord, Table
from spdbuild.data.detection.yolo_yaml import read_dataset_yaml
from spdbuild.data.files.decoding import is_image_name
from spdbuild.data.files.listing import image_files, with_slashes
from spdbuild.errors import DataError, nearest
from spdbuild.system.files import regular

#: The category ids in COCO's files of the classes that YOLO numbers 0 to 79.
COCO_CATEGORY_IDS: tuple[int, ...] = tuple(
    number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
)

#: The folders of labels that belong to each folder of images, the usual one first.
_LABELS = {
    "images": ("labels", "Labels", "LABELS"),
    "Images": ("Labels", "labels", "LABELS"),
    "IMAGES": ("LABELS", "labels", "Labels"),
}

#: Boxes that extend beyond their image have fractions above 1; those of a plausible box are below this.
_LARGEST_SHARE = 2


def read_yolo(yaml: Path, split: str, *, ignore: Sequence[str] = ()) -> DetectionSet:
    """The images and objects of one split ("train", "val" or "test") of a dataset YAML.

    ignore: names of classes whose objects become regions where detections do not count; the others move up.

    Evaluation ids: an image's is its file name, if all file names are numbers; a class's is its position from 1,
    or for COCO's 80 classes the id that COCO gives them.
    """
    description = read_dataset_yaml(yaml)
    paths = [_absolute(path) for path in description.paths(split)]
    for name in ignore:
        if name not in description.names:
            raise DataError(f"{yaml} has no class '{name}' to ignore", hint=nearest(name, description.names))
    files = sorted({_absolute(path) for given in paths for path in _images_of(given, yaml)})
    if not files:
        raise DataError(f"the split '{split}' of {yaml} has no images")
    kept = [class_ for class_, name in enumerate(description.names) if name not in ignore]
    ids = _category_ids(description.names)
    table = Table([description.names[class_] for class_ in kept], [ids[class_] for class_ in kept])
    classes = {class_: kept.index(class_) if class_ in kept else NO_CLASS for class_ in range(len(description.names))}
    rows = _Rows(classes, description.keypoints)
    _fill(table, files, rows)
    # Images to test on may be published without labels.
    if split != "test":
        _tell_no_labels(table)
    table.findings += [*rows.from_1(str(yaml)), *_without_image(paths, files), *_shared_labels(files)]
    if description.keypoints is not None:
        detail = f"has kpt_shape {list(description.keypoints)}: boxes are read, and keypoints are left out"
        table.findings.append(Finding("keypoints left out", str(yaml), detail))
    return table.build(f"'{split}'")


def label_file(image: Path) -> Path:
    """The file with the objects of an image: the last folder `images` becomes `labels`, the suffix `.txt`.

    Capitals do not matter where such a folder exists; images below no folder `images` have their labels beside them.
    """
    return _label_folder(image.parent) / image.with_suffix(".txt").name


def _label_folder(images: Path) -> Path:
    parts = images.parts
    folders = [
        Path(*parts[:position], labels, *parts[position + 1 :])
        for position in reversed(range(len(parts)))
        for labels in _LABELS.get(parts[position], ())
    ]
    existing = next(filter(Path.is_dir, folders), None)
    return existing or (folders[0] if "images" in parts else images)


def _images_of(given: Path, yaml: Path) -> Iterator[Path]:
    """Every image in a folder, or named by the lines of a text file."""
    if given.is_dir():
        yield from image_files(given)
        return
    if is_image_name(given):
        yield given
        return
    try:
        lines = regular(given).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{given} of {yaml} cannot be read: {error}") from None
    names = (with_slashes(given.parent, line.strip()) for line in lines)
    yield from (given.parent / name for name in names if name)


def _absolute(path: Path) -> Path:
    """The absolute path without `..`, so that the same file is found once."""
    whole = path.absolute()
    if ".." not in whole.parts:
        return whole
    # After a link to a folder, `..` is not the folder that the path names before it.
    plain = Path(os.path.normpath(whole))
    return plain if plain.exists() and whole.exists() and plain.samefile(whole) else whole


def _category_ids(names: tuple[str, ...]) -> tuple[int, ...]:
    is_coco = len(names) == 80 and (names[0], names[79]) == ("person", "toothbrush")
    return COCO_CATEGORY_IDS if is_coco else category_ids(len(names))


@dataclass(frozen=True)
class _Rows:
    """What the rows of label files hold.

    classes: for each number in the files that of the class, or NO_CLASS.
    keypoints: see DatasetYaml.
    numbers: those of the classes of the rows so far, known or not.
    """

    classes: dict[int, int]
    keypoints: tuple[int, int] | None
    numbers: set[float] = field(default_factory=set)

    def values(self, words: list[str], where: str) -> NDArray[np.float64] | Finding:
        """The numbers of a row: a class that is known, and a box or an outline."""
        try:
            values = np.array(words, np.float64)
        except ValueError:
            return Finding("malformed row", where, f"has words that are no numbers: {' '.join(words)[:80]}")
        if not self._has_length(len(values)) or not np.isfinite(values).all():
            return Finding("malformed row", where, f"needs {self._wanted}; got {len(words)} numbers")
        if self.keypoints is not None:
            values = values[:5]
        if (largest := values[1:].max()) > _LARGEST_SHARE:
            pixels = f"the numbers must be shares of the image, 0 to 1, and not {largest:g}: these look like pixels"
            return Finding("malformed row", where, pixels)
        self.numbers.add(values[0])
        if values[0] not in self.classes:
            last = len(self.classes) - 1
            known = f"the numbers go from 0 to {last}" if last else "the only number is 0"
            return Finding("unknown category", where, f"class {words[0]} is unknown: {known}")
        return values

    def from_1(self, where: str) -> Iterator[Finding]:
        """A finding if the numbers seem to start at 1 and not at 0."""
        count = len(self.classes)
        if self.numbers and min(self.numbers) > 0 and max(self.numbers) == count:
            detail = f"no object is of class 0, and some are of class {count}: these labels seem to start at 1"
            yield Finding("labels from 1", where, detail)

    def _has_length(self, count: int) -> bool:
        if self.keypoints is not None:
            return count == 5 + self.keypoints[0] * self.keypoints[1]
        return count == 5 or (count >= 7 and count % 2 == 1)

    @property
    def _wanted(self) -> str:
        if self.keypoints is None:
            return "a class and 4 numbers, or a class and the points of an outline"
        count, numbers = self.keypoints
        return (
            f"a class, 4 numbers and {count} keypoints of {numbers} (kpt_shape), {5 + count * numbers} numbers in all"
        )


def _fill(table: Table, files: Sequence[Path], rows: _Rows) -> None:
    # Reading sizes is bound by the disk and not by the processor.
    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(image_size, files))
    ids = image_ids([file.stem for file in files])
    root = _common_folder(files)
    for file, size, number in zip(files, sizes, ids, strict=True):
        if isinstance(size, Finding):
            table.findings.append(size)
            continue
        height, width = size
        table.images.append(ImageRecord(number, file.relative_to(root).as_posix(), file, width, height))
        _add_rows(table, label_file(file), rows)


def _common_folder(files: Sequence[Path]) -> Path:
    folders = {file.parent for file in files}
    first = min(folders, key=lambda folder: len(folder.parts))
    return next(f for f in (first, *first.parents) if all(folder.is_relative_to(f) for folder in folders))


def _add_rows(table: Table, labels: Path, rows: _Rows) -> None:
    """The objects of the image added last; an image without a label file has none, which a check reports."""
    try:
        lines = regular(labels).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        image = str(table.images[-1].path)
        table.findings.append(Finding("missing label file", image, f"has no {labels}: it counts as without objects"))
        return
    except (OSError, UnicodeDecodeError) as error:
        table.findings.append(Finding("malformed row", str(labels), f"cannot be read: {error}"))
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            _add_row(table, line.split(), rows, f"{labels}:{number}")


def _tell_no_labels(table: Table) -> None:
    """If no image has a label file, one finding that says where they are looked for, in place of one for each."""
    missing = [finding for finding in table.findings if finding.kind == "missing label file"]
    image = table.images[0].path if table.images else None
    if image is None or len(missing) < len(table.images):
        return
    labels = label_file(image)
    root = Path(os.path.commonpath((image.parent, labels.parent)))
    below = [folder for folder in labels.parents if folder != root and folder.is_relative_to(root)]
    gone = next((folder for folder in reversed(below) if not folder.is_dir()), None)
    found = "no image has a label file" if gone is None else f"there is no folder {gone}"
    one, its = (file.relative_to(root).as_posix() for file in (image, labels))
    detail = f"{found}; labels of {one} are looked for in {its}"
    others = (finding for finding in table.findings if finding.kind != "missing label file")
    table.findings = [*others, Finding("no label files", str(root), detail)]


def _without_image(given: Sequence[Path], images: Sequence[Path]) -> Iterator[Finding]:
    """The label files of the folders of a split that belong to no image of it."""
    known = {label_file(image) for image in images}
    for folder in given:
        labels = label_file(folder / "any.png").parent
        # There may be any text file beside images; labelling tools leave the class names among the labels.
        for file in sorted(labels.rglob("*.txt")) if folder.is_dir() and labels != folder else ():
            if file not in known and file.name != "classes.txt" and not file.name.startswith("."):
                yield Finding("label file without image", str(file), "belongs to no image of the split")


def _shared_labels(images: Sequence[Path]) -> Iterator[Finding]:
    """The label files that belong to several images, which differ in their suffixes alone."""
    by_stem = groupby(sorted(images, key=_stem), _stem)
    for same in (list(same) for _, same in by_stem):
        if len(same) > 1 and (labels := label_file(same[0])).is_file():
            names = ", ".join(image.name for image in same)
            yield Finding(
                "shared label file", str(labels), f"belongs to {len(same)} images, which all have its boxes: {names}"
            )


def _stem(image: Path) -> Path:
    return image.with_suffix("")


def _add_row(table: Table, words: list[str], rows: _Rows, where: str) -> None:
    values = rows.values(words, where)
    if isinstance(values, Finding):
        table.findings.append(values)
        return
    class_ = rows.classes[int(values[0])]
    image = table.images[-1]
    outline: tuple[Polygon, ...] = ()
    area = None
    points = values[1:].reshape(-1, 2) * (image.width, image.height)
    if len(values) == 5:
        low, high = points[0] - points[1] / 2, points[0] + points[1] / 2
    else:
        low, high = points.min(axis=0), points.max(axis=0)
        outline, area = (points,), abs(signed_area(points))
    box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    table.add_sound(box, class_, where, ignored=class_ == NO_CLASS, area=area, outline=outline)

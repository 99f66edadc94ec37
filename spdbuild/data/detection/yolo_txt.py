"""YOLO's files: a dataset YAML, and a text file beside each image with a line for each object.

class centre_x centre_y width height          fractions of the image
class x1 y1 x2 y2 x3 y3 ...                   an outline of three points or more; its extent is the box
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.decoding import is_image_name
from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.ids import category_ids, image_ids
from spdbuild.data.detection.outlines import Polygon, signed_area
from spdbuild.data.detection.pixels import image_size
from spdbuild.data.detection.table import NO_CLASS, DetectionSet, ImageRecord, Table
from spdbuild.data.listing import image_files, with_slashes
from spdbuild.errors import DataError, MissingSplitError, nearest
from spdbuild.source import Value, parse_yaml, read_source

#: The category ids in COCO's files of the classes that YOLO numbers 0 to 79.
COCO_CATEGORY_IDS: tuple[int, ...] = tuple(
    number for number in range(1, 91) if number not in (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
)

#: The keys of each split, the usual one first.
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}

#: Boxes that extend beyond their image have fractions above 1; those of a plausible box are below this.
_LARGEST_SHARE = 2


@dataclass(frozen=True)
class DatasetYaml:
    """The contents of a dataset YAML: class names, the folder that paths start from, and the value of each split."""

    file: Path
    names: tuple[str, ...]
    folder: Path
    splits: dict[str, Value]

    def paths(self, split: str) -> tuple[Path, ...]:
        """Folders, text files or images of a split; MissingSplitError if it has none or they do not exist."""
        if split not in self.splits:
            raise MissingSplitError(f"{self.file} has no split '{split}'", hint=nearest(split, self.splits))
        value = self.splits[split]
        return tuple(_path(entry, self.folder) for entry in (value.data if isinstance(value.data, list) else [value]))


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
    _fill(table, files, classes)
    table.findings += _without_image(paths, files)
    return table.build(f"'{split}'")


def read_dataset_yaml(path: Path) -> DatasetYaml:
    """The parts of a dataset YAML that are used: `path`, `train`, `val`, `test`, `names`; other keys may be there.

    `valid` and `validation` are synonyms of `val`.
    """
    root = parse_yaml(read_source(path))
    if not isinstance(root.data, dict):
        raise DataError("a dataset YAML is a mapping with path, train, val and names", location=root.location)
    names = _names(root)
    splits = {
        split: value
        for split, keys in _SPLITS.items()
        if (value := next(filter(None, map(root.get, keys)), None)) is not None and value.data is not None
    }
    return DatasetYaml(path, names, _base(path, root.get("path")), splits)


def is_dataset_yaml(path: Path) -> bool:
    """Whether a file looks like a dataset YAML and not like a recipe: it names classes and a split."""
    root = _with_splits(path)
    return root is not None and root.get("names") is not None


def is_nameless_dataset_yaml(path: Path) -> bool:
    """Whether a file has a split, no class names, and nothing that makes it a recipe: the names were forgotten."""
    root = _with_splits(path)
    return root is not None and all(root.get(key) is None for key in ("names", "architecture", "data", "extends"))


def _with_splits(path: Path) -> Value | None:
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return None
    root = parse_yaml(read_source(path))
    return root if any(root.get(key) is not None for key in (*_SPLITS["train"], *_SPLITS["val"])) else None


def label_file(image: Path) -> Path:
    """The file with the objects of an image: the last folder `images` becomes `labels`, the suffix `.txt`."""
    parts = list(image.with_suffix(".txt").parts)
    folders = [position for position, part in enumerate(parts[:-1]) if part == "images"]
    if folders:
        parts[folders[-1]] = "labels"
    return Path(*parts)


def _names(root: Value) -> tuple[str, ...]:
    value = root.get("names")
    if value is None:
        raise DataError("the dataset YAML has no 'names'", location=root.location, hint="names: [person, car]")
    names = value.plain()
    if isinstance(names, dict):
        numbers = {str(number): number for number in range(len(names))}
        unknown = [key for key in names if key not in numbers]
        if unknown:
            wanted = f"the keys of 'names' must be 0 to {len(names) - 1}, got {unknown[0]}"
            raise DataError(wanted, location=value.location)
        names = [names[number] for number in numbers]
    if not isinstance(names, list) or not names or any(isinstance(name, list | dict) for name in names):
        raise DataError("'names' must be a list of names or a mapping from numbers to names", location=value.location)
    count = root.get("nc")
    if count is not None and count.data != len(names):
        raise DataError(f"nc is {count.data}, but there are {len(names)} names", location=count.location)
    return tuple(map(str, names))


def _base(yaml: Path, value: Value | None) -> Path:
    """The folder that the splits' paths start from, looked for in the YAML's own folder, then in the current one."""
    if value is None or value.data is None:
        return yaml.parent
    written = Path(with_slashes(yaml.parent, str(value.data))).expanduser()
    candidates = [written] if written.is_absolute() else [yaml.parent / written, written]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise DataError(
        f"the folder '{written}' of the data set does not exist",
        location=value.location,
        hint="looked for " + " and ".join(map(str, candidates)),
    )


def _path(entry: Value, folder: Path) -> Path:
    if not isinstance(entry.data, str):
        raise DataError("a split is a folder, a text file of paths, or a list of them", location=entry.location)
    written = with_slashes(folder, entry.data)
    path = folder / Path(written).expanduser()
    # Roboflow's exports say ../train/images and mean the folder beside the YAML.
    candidates = [path, folder / written.removeprefix("../")]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None and any(sign in written for sign in "*?["):
        message = f"'{entry.data}' is a pattern, and a split is a folder, a text file of paths, or a list of them"
        raise DataError(message, location=entry.location, hint="name the folder: all images below it are taken")
    if found is None:
        raise MissingSplitError(f"'{path}' does not exist", location=entry.location)
    return found


def _images_of(given: Path, yaml: Path) -> Iterator[Path]:
    """Every image in a folder, or named by the lines of a text file."""
    if given.is_dir():
        yield from image_files(given)
        return
    if is_image_name(given):
        yield given
        return
    try:
        lines = given.read_text(encoding="utf-8-sig").splitlines()
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


def _fill(table: Table, files: Sequence[Path], classes: dict[int, int]) -> None:
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
        _add_rows(table, label_file(file), classes)


def _common_folder(files: Sequence[Path]) -> Path:
    folders = {file.parent for file in files}
    first = min(folders, key=lambda folder: len(folder.parts))
    return next(f for f in (first, *first.parents) if all(folder.is_relative_to(f) for folder in folders))


def _add_rows(table: Table, labels: Path, classes: dict[int, int]) -> None:
    """The objects of the image added last; an image without a label file has none, which a check reports."""
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        image = str(table.images[-1].path)
        table.findings.append(Finding("missing label file", image, f"has no {labels}: it counts as without objects"))
        return
    except (OSError, UnicodeDecodeError) as error:
        table.findings.append(Finding("malformed row", str(labels), f"cannot be read: {error}"))
        return
    for number, line in enumerate(lines, 1):
        if line.strip():
            _add_row(table, line.split(), classes, f"{labels}:{number}")


def _without_image(given: Sequence[Path], images: Sequence[Path]) -> Iterator[Finding]:
    """The label files of the folders of a split that belong to no image of it."""
    known = {label_file(image) for image in images}
    for folder in given:
        labels = label_file(folder / "any.png").parent
        # There may be any text file beside images; labelling tools leave the class names among the labels.
        for file in sorted(labels.rglob("*.txt")) if folder.is_dir() and labels != folder else ():
            if file not in known and file.name != "classes.txt" and not file.name.startswith("."):
                yield Finding("label file without image", str(file), "belongs to no image of the split")


def _add_row(table: Table, words: list[str], classes: dict[int, int], where: str) -> None:
    values = _values(words, classes, where)
    if isinstance(values, Finding):
        table.findings.append(values)
        return
    class_ = classes[int(values[0])]
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


def _values(words: list[str], classes: dict[int, int], where: str) -> NDArray[np.float64] | Finding:
    """The numbers of a row: a class that is known, and a box or an outline."""
    try:
        values = np.array(words, np.float64)
    except ValueError:
        return Finding("malformed row", where, f"has words that are no numbers: {' '.join(words)[:80]}")
    if not (len(values) == 5 or (len(values) >= 7 and len(values) % 2)) or not np.isfinite(values).all():
        wanted = "a class and 4 numbers, or a class and the points of an outline"
        return Finding("malformed row", where, f"needs {wanted}; got {len(words)} numbers")
    if (largest := values[1:].max()) > _LARGEST_SHARE:
        pixels = f"the numbers must be shares of the image, 0 to 1, and not {largest:g}: these look like pixels"
        return Finding("malformed row", where, pixels)
    if values[0] not in classes:
        return Finding("unknown category", where, f"there is no class {words[0]}; there are {len(classes)}")
    return values

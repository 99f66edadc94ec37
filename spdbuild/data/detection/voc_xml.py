"""Pascal VOC's files: an XML file for each image, and a text file with the images of each split.

    Annotations/<image>.xml     JPEGImages/<image>.jpg     ImageSets/Main/<split>.txt

Labelling tools write the same XML files beside the images, or into another folder, and no lists.

VOC counts pixels from 1 and a box includes its last pixel: (xmin, ymin, xmax, ymax) is the box from xmin - 1 to xmax.

Source: Everingham et al. 2010, "The Pascal Visual Object Classes (VOC) Challenge", and the development kit's notes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.ids import category_ids, image_ids
from spdbuild.data.detection.pixels import image_size
from spdbuild.data.detection.table import NO_CLASS, DetectionSet, ImageRecord, Table
from spdbuild.data.files.decoding import is_image_name
from spdbuild.data.files.listing import entries
from spdbuild.errors import DataError, Location, MissingSplitError, UnsplitError, nearest
from spdbuild.system.files import regular

#: Where annotations and images are, VOC's own folder first.
_ANNOTATION_FOLDERS = ("Annotations", "annotations", "xml", "xmls", "labels", "JPEGImages", "images", ".")
_IMAGE_FOLDERS = ("JPEGImages", "images", ".")

#: What tools write into `difficult`, in any case; an object without it is not difficult.
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no", "")


def read_voc(root: Path, split: str, *, names: Sequence[str] = (), ignore: Sequence[str] = ()) -> DetectionSet:
    """The images and objects of a split, as listed in ImageSets/Main.

    Without any list, "train" is every annotation file, and there is no other split: it would have the same images.

    names: the classes; if empty, every name in all the annotations of the folder, in alphabetical order.
    ignore: names whose objects become regions where detections do not count.

    Objects marked difficult keep their class and are ignored in training and evaluation, as VOC does.
    """
    annotations, images = annotation_folder(root), image_folder(root)
    parsed = {stem: parse_annotation(annotations / f"{stem}.xml") for stem in _stems(root, annotations, split)}
    known = tuple(names) or _all_names(annotations, parsed)
    for name in ignore:
        if name not in known:
            raise DataError(f"{root} has no class '{name}' to ignore", hint=nearest(name, known))
    kept = [name for name in known if name not in ignore]
    table = Table(kept, category_ids(len(kept)))
    classes = {name: kept.index(name) if name in kept else NO_CLASS for name in known}
    files = _image_files(images)
    for id, (stem, annotation) in zip(image_ids(list(parsed)), parsed.items(), strict=True):
        if isinstance(annotation, Finding):
            table.findings.append(annotation)
            continue
        path = files.get(stem, images / f"{stem}.jpg")
        size = _size(annotation, path)
        if isinstance(size, Finding):
            table.findings.append(size)
            continue
        table.images.append(ImageRecord(id, path.name, path, size[1], size[0]))
        for number, element in enumerate(annotation.iter("object"), 1):
            _add_object(table, element, classes, f"{annotations / stem}.xml: object {number}")
    return table.build(f"'{split}'")


def annotation_folder(root: Path) -> Path:
    """The folder with the XML files: Annotations, or the first of the others that has any."""
    own, *others = (root / name for name in _ANNOTATION_FOLDERS)
    return own if own.is_dir() else next((folder for folder in others if any(_annotation_files(folder))), own)


def image_folder(root: Path) -> Path:
    """The folder with the images: JPEGImages, or the first of the others that has any."""
    own, *others = (root / name for name in _IMAGE_FOLDERS)
    return own if own.is_dir() else next((folder for folder in others if _image_files(folder)), own)


def is_loose(root: Path) -> bool:
    """Whether a folder holds images with XML files of this format, but not in VOC's own folders."""
    first = next(iter(sorted(_annotation_files(annotation_folder(root)))), None)
    parsed = None if first is None else parse_annotation(first)
    return (
        isinstance(parsed, ElementTree.Element)
        and parsed.tag == "annotation"
        and bool(_image_files(image_folder(root)))
    )


class _DoctypeError(Exception):
    """A document type in annotations, whose entities may expand without end."""


def parse_annotation(path: Path) -> ElementTree.Element | Finding:
    """The root of an XML file; a finding if the file is missing, is not XML, or has a document type."""
    try:
        data = regular(path).read_bytes()
    except FileNotFoundError:
        return _unreadable(str(path), "does not exist")
    except OSError as error:
        return _unreadable(str(path), f"cannot be read: {error.strerror}")
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        parser.Parse(data, True)
    except _DoctypeError:
        detail = "a document type (<!DOCTYPE>) is not allowed in annotations; remove it"
        return _unreadable(f"{path}:{parser.CurrentLineNumber}", detail)
    except expat.ExpatError as error:
        place = Location(str(path), error.lineno, error.offset + 1)
        return _unreadable(str(place), f"this is not XML: {expat.ErrorString(error.code)}")
    # Encodings that Python does not know, and multi-byte ones other than UTF.
    except (LookupError, ValueError) as error:
        return _unreadable(str(path), f"cannot be read: {error}")
    return ElementTree.fromstring(data)


def _refuse_doctype(*_: object) -> None:
    raise _DoctypeError


def _unreadable(where: str, detail: str) -> Finding:
    return Finding("unreadable annotation file", where, detail)


def _stems(root: Path, annotations: Path, split: str) -> list[str]:
    listed = root / "ImageSets" / "Main" / f"{split}.txt"
    if listed.is_file():
        try:
            lines = listed.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{listed} cannot be read: {error}") from None
        return [_stem(annotations, line.strip()) for line in lines if line.strip()]
    known = [path.stem for path in _not_hidden(listed.parent, "*.txt")]
    if known:
        raise MissingSplitError(f"{root} has no split '{split}'", hint=nearest(split, known))
    if not annotations.is_dir():
        raise DataError(
            f"{root} has no folder 'Annotations'", hint="give the folder that holds Annotations and JPEGImages"
        )
    if split != "train":
        raise UnsplitError(
            f"{root} has no split '{split}': without lists in ImageSets/Main all images are in 'train'",
            hint=f"write the names of its images into {listed}, and the others' into train.txt",
        )
    return sorted(path.stem for path in _annotation_files(annotations))


def _stem(annotations: Path, line: str) -> str:
    """The image that a line of a list names; in the lists of a class a number follows the name."""
    names = (line, line.split()[0])
    return next((name for name in names if (annotations / f"{name}.xml").is_file()), line)


def _annotation_files(folder: Path) -> Iterator[Path]:
    return _not_hidden(folder, "*.xml")


def _not_hidden(folder: Path, pattern: str) -> Iterator[Path]:
    """The files of a folder without the hidden ones that some systems leave beside each file."""
    return (path for path in folder.glob(pattern) if not path.name.startswith("."))


def _image_files(folder: Path) -> dict[str, Path]:
    """Each image in a folder by its stem; if several share it, the `.jpg` that VOC means."""
    images = [path for path in entries(folder) if is_image_name(path)] if folder.is_dir() else []
    return {path.stem: path for path in sorted(images, key=lambda path: (path.suffix == ".jpg", path.name))}


def _all_names(annotations: Path, parsed: Mapping[str, ElementTree.Element | Finding]) -> tuple[str, ...]:
    """The names in all the annotations that can be read; `parsed` has some of them already, by their stem."""
    found: set[str] = set()
    for path in _annotation_files(annotations):
        annotation = parsed[path.stem] if path.stem in parsed else parse_annotation(path)
        if not isinstance(annotation, Finding):
            found.update(element.findtext("name", "").strip() for element in annotation.iter("object"))
    return tuple(sorted(found - {""}))


def _size(annotation: ElementTree.Element, path: Path) -> tuple[int, int] | Finding:
    """Height and width from the annotation, or else from the image file."""
    try:
        height, width = (int(annotation.findtext(f"size/{side}", "")) for side in ("height", "width"))
    except ValueError:
        return image_size(path)
    return (height, width) if height > 0 and width > 0 else image_size(path)


def _add_object(table: Table, element: ElementTree.Element, classes: dict[str, int], where: str) -> None:
    name = element.findtext("name", "").strip()
    box = _box(element)
    if box is None:
        detail = "needs a 'bndbox' with the numbers xmin, ymin, xmax and ymax"
        table.findings.append(Finding("malformed row", where, detail))
        return
    if name not in classes:
        hint = nearest(name, classes)
        table.findings.append(Finding("unknown category", where, f"there is no class '{name}'; {hint}"))
        return
    difficult = element.findtext("difficult", "").strip()
    if difficult.lower() not in (*_YES, *_NO):
        table.findings.append(Finding("malformed row", where, f"'difficult' must be 0 or 1, got '{difficult}'"))
        return
    ignored = classes[name] == NO_CLASS or difficult.lower() in _YES
    table.add_sound(box, classes[name], where, ignored=ignored)


def _box(element: ElementTree.Element) -> tuple[float, float, float, float] | None:
    """Edges (left, top, right, bottom) in pixels counted from 0; None if they are not numbers."""
    try:
        xmin, ymin, xmax, ymax = (
            float(element.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")
        )
    except ValueError:
        return None
    box = xmin - 1, ymin - 1, xmax, ymax
    return box if all(map(math.isfinite, box)) else None

"""Write a data set in another format, as a folder that is complete or does not exist."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spdbuild.data.detection.check import TOLERANCE, lossy_images
from spdbuild.data.detection.coco_json import to_coco
from spdbuild.data.detection.dataset import DetectionDataSet, splits_of, usable
from spdbuild.data.detection.findings import GRAVE, Finding, refuse_grave
from spdbuild.data.detection.outlines import joined
from spdbuild.data.detection.pixels import reader
from spdbuild.data.detection.table import NO_CLASS, DetectionSet, Objects
from spdbuild.data.detection.tiles import TileOptions, cut
from spdbuild.errors import ArgumentError, DataError
from spdbuild.system.files import is_text, write_folder

Format = Literal["coco", "yolo", "voc"]


@dataclass(frozen=True)
class Conversion:
    """What was written, and what the format has no place for.

    left_out: crowd regions and ignored objects that were left out.
    boxes_only: objects that lost their outline, so that their area, which decides about AP_S etc., is that of the box.
    masks_lost: objects that lost their mask of run lengths; no outline is made of it, because that would differ.
    lossy: what images lost whose tiles were written, as 8-bit RGB: grey levels or bands. Other images are copied.
    """

    folder: Path
    images: int
    objects: int
    left_out: int
    boxes_only: int
    masks_lost: int
    lossy: tuple[Finding, ...]


@dataclass(frozen=True)
class _Losses:
    """What a format has no place for; see Conversion."""

    left_out: int = 0
    boxes_only: int = 0
    masks_lost: int = 0

    def __add__(self, other: _Losses) -> _Losses:
        return _Losses(
            self.left_out + other.left_out,
            self.boxes_only + other.boxes_only,
            self.masks_lost + other.masks_lost,
        )


def convert(splits: Mapping[str, DetectionSet], format: Format, folder: Path, *, outlines: bool = False) -> Conversion:
    """Write splits ("train", "val", ...) with their images into a folder that does not exist yet or is empty.

        coco    annotations/<split>.json, images/<split>/
        yolo    data.yaml, images/<split>/, labels/<split>/
        voc     Annotations/, JPEGImages/, ImageSets/Main/<split>.txt

    Images are copied; those without a file, and tiles of larger ones, are written as PNG. Boxes are preserved: in
    YOLO's files to 1e-8 of the image, in VOC's to 1e-4 pixels. COCO's files keep outlines and masks of run lengths;
    no other format keeps masks.

    outlines: write outlines in place of boxes in YOLO's files; readers take the boxes from their extent. All objects of
        the data set need one, because other tools cannot read files that have both.
    """
    if outlines and format != "yolo":
        raise ArgumentError(f"outlines are no choice for {format}", argument="outlines", hint="leave it out")
    names = {dataset.names for dataset in splits.values()}
    if len(names) != 1:
        raise DataError("the splits of a data set must have the same classes", hint=f"classes: {sorted(names)}")
    for name in next(iter(names)):
        _require_text("class", name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already", hint="give a new folder, or remove it first")
    write = _write_yolo_outlines if outlines else _WRITERS[format]
    losses = write_folder(folder, partial(write, splits), failure=DataError)
    images, objects = (sum(map(len, parts)) for parts in (splits.values(), [d.objects for d in splits.values()]))
    lossy = tuple(finding for dataset in splits.values() for finding in lossy_images(_tiles(dataset)))
    return Conversion(folder, images, objects - losses.left_out, **asdict(losses), lossy=lossy)


def _tiles(dataset: DetectionSet) -> DetectionSet:
    """The images that are parts of larger ones."""
    return dataset.subset([index for index, image in enumerate(dataset.images) if image.whole is not None])


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _write_coco(splits: Mapping[str, DetectionSet], folder: Path) -> _Losses:
    (folder / "annotations").mkdir()
    for split, dataset in splits.items():
        names = _file_names(dataset)
        document = to_coco(dataset)
        for entry, name in zip(document["images"], names, strict=True):
            entry["file_name"] = name
        _write_text(folder / "annotations" / f"{split}.json", json.dumps(document))
        _copy_images(dataset, names, folder / "images" / split)
    return _Losses()


def _write_yolo(splits: Mapping[str, DetectionSet], folder: Path, outlines: bool = False) -> _Losses:
    losses = _Losses()
    for split, dataset in splits.items():
        names = _file_names(dataset)
        _require_own_stems(names)
        _copy_images(dataset, names, folder / "images" / split)
        for index, name in enumerate(names):
            objects = dataset.of_image(index)
            rows = np.flatnonzero(objects.counted)
            losses += _losses(objects, rows, outlines)
            size = (dataset.images[index].width, dataset.images[index].height)
            line = _yolo_outline if outlines else _yolo_line
            lines = [line(objects, row, size) for row in rows.tolist()]
            target = (folder / "labels" / split / name).with_suffix(".txt")
            target.parent.mkdir(parents=True, exist_ok=True)
            _write_text(target, "".join(f"{line}\n" for line in lines))
    _write_text(folder / "data.yaml", _dataset_yaml(splits))
    return losses


def _write_yolo_outlines(splits: Mapping[str, DetectionSet], folder: Path) -> _Losses:
    return _write_yolo(splits, folder, outlines=True)


def _losses(objects: Objects, kept: NDArray[np.int64], outlines: bool = False) -> _Losses:
    """What the objects of an image lose if the rows `kept` are written."""
    boxes_only = 0 if outlines else int(objects.outlines.present(kept).sum())
    return _Losses(len(objects) - len(kept), boxes_only, sum(mask is not None for mask in objects.masks[kept]))


def _dataset_yaml(splits: Mapping[str, DetectionSet]) -> str:
    names = next(iter(splits.values())).names
    # Without the key path, all readers start from the YAML's folder; they disagree about a relative one.
    lines = [*(f"{split}: images/{split}" for split in splits), "names:"]
    # A JSON string is a YAML string, whatever characters a name has.
    lines += [f"  {class_}: {json.dumps(name)}" for class_, name in enumerate(names)]
    return "\n".join(lines) + "\n"


def _yolo_line(objects: Objects, row: int, size: tuple[int, int]) -> str:
    box = objects.boxes_xyxy[row]
    inside = np.clip(box, 0, (*size, *size))
    # Less is rounding, and a row that reaches farther out is one that readers refuse.
    left, top, right, bottom = (inside if np.abs(inside - box).max() > TOLERANCE else box).tolist()
    x, width = (left + right) / 2 / size[0], (right - left) / size[0]
    y, height = (top + bottom) / 2 / size[1], (bottom - top) / size[1]
    return f"{objects.classes[row]} " + " ".join(f"{value:.9g}" for value in (x, y, width, height))


def _yolo_outline(objects: Objects, row: int, size: tuple[int, int]) -> str:
    polygons = objects.outlines[row]
    if not polygons:
        has = "no outline" if objects.masks[row] is None else "a mask of run lengths and no outline"
        raise DataError(
            f"object {objects.ids[row]} has {has}, and files with boxes and outlines are read in different ways",
            hint="convert without outlines",
        )
    return f"{objects.classes[row]} " + " ".join(f"{value:.9g}" for value in (joined(polygons) / size).ravel())


def _write_voc(splits: Mapping[str, DetectionSet], folder: Path) -> _Losses:
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "Annotations").mkdir()
    losses = _Losses()
    for split, names in _flat_names(splits).items():
        dataset = splits[split]
        _copy_images(dataset, names, folder / "JPEGImages")
        stems = [PurePosixPath(name).stem for name in names]
        _write_text(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{stem}\n" for stem in stems))
        for index, (stem, name) in enumerate(zip(stems, names, strict=True)):
            objects = dataset.of_image(index)
            kept = np.flatnonzero((objects.classes != NO_CLASS) & ~objects.crowd)
            losses += _losses(objects, kept)
            tree = _voc_annotation(dataset, index, name, kept)
            ElementTree.indent(tree)
            tree.write(folder / "Annotations" / f"{stem}.xml", encoding="utf-8")
    return losses


def _flat_names(splits: Mapping[str, DetectionSet]) -> dict[str, list[str]]:
    """Names for one folder with the images of all splits: those of the files, with split and folders only if needed."""
    names = {split: _file_names(dataset) for split, dataset in splits.items()}
    stems = [_own_stem(PurePosixPath(name).name) for own in names.values() for name in own]
    if len(set(stems)) == len(stems):
        return {split: [PurePosixPath(name).name for name in own] for split, own in names.items()}
    flat = {split: [f"{split}_{name.replace('/', '_')}" for name in own] for split, own in names.items()}
    _require_own_stems([name for own in flat.values() for name in own])
    return flat


def _voc_annotation(
    dataset: DetectionSet, index: int, name: str, rows: NDArray[np.int64]
) -> ElementTree.ElementTree[ElementTree.Element]:
    image, objects = dataset.images[index], dataset.of_image(index)
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = name
    size = ElementTree.SubElement(root, "size")
    for side, value in (("width", image.width), ("height", image.height), ("depth", 3)):
        ElementTree.SubElement(size, side).text = str(value)
    for row in rows:
        element = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(element, "name").text = dataset.names[objects.classes[row]]
        ElementTree.SubElement(element, "difficult").text = str(int(objects.ignored[row]))
        box = ElementTree.SubElement(element, "bndbox")
        left, top, right, bottom = objects.boxes_xyxy[row].tolist()
        # VOC counts pixels from 1, and its boxes include their last pixel.
        for edge, value in (("xmin", left + 1), ("ymin", top + 1), ("xmax", right), ("ymax", bottom)):
            ElementTree.SubElement(box, edge).text = f"{round(value, 4):.10g}"
    return ElementTree.ElementTree(root)


def _file_names(dataset: DetectionSet) -> list[str]:
    """Where each image goes below the new folder of images."""
    names = []
    for image in dataset.images:
        _require_text("image", image.name)
        name = PurePosixPath(image.name)
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"the image name '{image.name}' leads out of the folder of images")
        names.append(str(name if image.path is not None else name.with_suffix(".png")))
    return names


def _require_text(what: str, name: str) -> None:
    """Refuse a name with bytes that are not UTF-8: the files of all formats are text."""
    if not is_text(name):
        raise DataError(f"the name of the {what} '{name}' is no text in UTF-8", hint="rename it")


def _own_stem(name: str) -> str:
    """What a file is called but for its suffix, the same for files that are one where case does not count."""
    return str(PurePosixPath(name).with_suffix("")).casefold()


def _require_own_stems(names: list[str]) -> None:
    stems = list(map(_own_stem, names))
    stem, count = Counter(stems).most_common(1)[0]
    if count > 1:
        first = PurePosixPath(names[stems.index(stem)]).with_suffix("")
        message = f"{count} images are called '{first}' but for their suffix, or for upper and lower case"
        raise DataError(message, hint="rename one of them")


def _copy_images(dataset: DetectionSet, names: list[str], folder: Path) -> None:
    read = reader(dataset)
    for index, (image, name) in enumerate(zip(dataset.images, names, strict=True)):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if image.path is not None and image.whole is None:
            if not image.path.is_file():
                raise DataError(f"the image {image.path} does not exist", hint="see `spdbuild data check`")
            shutil.copyfile(image.path, target)
            continue
        pixels = read(index)
        if isinstance(pixels, Finding):
            raise DataError(str(pixels))
        Image.fromarray(pixels).save(target)


_WRITERS: dict[str, Callable[[Mapping[str, DetectionSet], Path], _Losses]] = {
    "coco": _write_coco,
    "yolo": _write_yolo,
    "voc": _write_voc,
}


def convert_data_set(
    data_set: DetectionDataSet,
    format: Format,
    folder: Path,
    *,
    outlines: bool = False,
    tiles: TileOptions | None = None,
) -> tuple[Conversion, int]:
    """Write every split of a data set into a new folder; return what was written, and how many findings were skipped.

    What cannot be used is refused with a DataError, or left out where the data set has `on_error="skip"`.
    outlines: as for `convert`. tiles: how larger images are cut; of the tiles of "train", only those with something
        to learn are written.
    """
    splits = splits_of(data_set)
    if getattr(data_set, "on_error", "refuse") == "skip":
        splits = {split: usable(dataset, "skip") for split, dataset in splits.items()}
    else:
        refuse_grave(finding for dataset in splits.values() for finding in dataset.findings)
    skipped = sum(finding.kind in GRAVE for dataset in splits.values() for finding in dataset.findings)
    if tiles is not None and tiles.size is not None:
        size = tiles.size
        for split, dataset in splits.items():
            tiled = cut(dataset, size, tiles.overlap, tiles.min_visible, tiles.whole)
            splits[split] = tiled.to_learn(tiles.background) if split == "train" else tiled.dataset
            if not len(splits[split]):
                raise DataError(f"no tile of '{split}' has an object to learn", hint="convert it without tiles")
    return convert(splits, format, folder, outlines=outlines), skipped

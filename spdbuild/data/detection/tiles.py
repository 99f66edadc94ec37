"""Large images as overlapping windows: a data set whose images are the windows of another one's."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.geometry import clip_polygon
from spdbuild.data.detection.outlines import Outlines, Polygon
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Objects
from spdbuild.ranges import require_range
from spdbuild.tiling import Window, looked_at

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class TileOptions:
    """How images that are larger than a window are cut into windows; by default they stay whole.

    Training takes the windows for images. Evaluation looks at all windows of an image and puts together what is found
    in them, so that metrics are of whole images, as those without windows are.

    size: side of a window in pixels of the image as it is in its file; empty: images stay whole.
    overlap: share of a window that its neighbour sees too, at least; an object smaller than that is whole in one of
        them.
    whole: whether an image that is cut is also looked at whole, for objects that are larger than the overlap.
    min_visible: least share of an object's box that a window must show for the object to be learned from it.
    background: windows without any object that training keeps, at most as many for each one with an object.

    Source: Akyon et al. 2022, "Slicing aided hyper inference and fine-tuning for small object detection",
    arXiv:2202.06934.
    """

    size: int | None = None
    overlap: float = 0.2
    whole: bool = False
    min_visible: float = 0.3
    background: float = 0.1

    def __post_init__(self) -> None:
        require_range(self, "size", least=32)
        require_range(self, "overlap", least=0, below=1)
        require_range(self, "min_visible", least=0, most=1)
        require_range(self, "background", least=0)


@dataclass(frozen=True, eq=False)
class Tiles:
    """The windows of a data set's images, those of an image behind one another.

    dataset: its images are the windows, named <image>_<left>_<top>.png; an image no larger than a window, or looked at
        whole behind its windows, is as it was. Objects are cut at the border of their window; what it shows too little
        of is to be ignored.
    sources: int64 [M], for each window the position of its image.
    windows: where each lies there.
    """

    dataset: DetectionSet
    sources: Positions
    windows: tuple[Window, ...]

    @cached_property
    def cut(self) -> NDArray[np.bool_]:
        """Which of them are not a whole image, bool [M]."""
        return np.array([image.whole is not None for image in self.dataset.images])

    def to_learn(self, background: float) -> DetectionSet:
        """The windows with an object to be learned, and at most `background` times as many, evenly, with nothing.

        Windows in which there are only parts of objects would teach that parts are background, so they are left out.
        Images that were not cut stay.
        """
        shown = np.diff(self.dataset.first)
        learned = np.bincount(self.dataset.image_index[self.dataset.trainable], minlength=len(self.dataset))
        useful = ~self.cut | (learned > 0)
        empty = np.flatnonzero(self.cut & (shown == 0))
        count = min(len(empty), int(background * np.count_nonzero(learned)))
        chosen = empty[np.arange(count) * len(empty) // max(count, 1)]
        return self.dataset.subset(np.sort(np.concatenate((np.flatnonzero(useful), chosen))).tolist())


def cut(dataset: DetectionSet, size: int, overlap: float, min_visible: float, whole: bool = False) -> Tiles:
    """Every window of every image that is larger than `size`; see TileOptions for the numbers."""
    seen = [looked_at(image.height, image.width, size, overlap, whole) for image in dataset.images]
    sources = np.repeat(np.arange(len(dataset)), [len(own) for own in seen])
    flat = tuple(window for own in seen for window in own)
    images = tuple(
        _record(dataset.images[source], window, number)
        for number, (source, window) in enumerate(zip(sources.tolist(), flat, strict=True), 1)
    )
    shown = [_shown(dataset, index, own) for index, own in enumerate(seen)]
    first = np.concatenate(([0], np.cumsum([len(rows) for of_image in shown for rows, *_ in of_image])))
    objects = _objects(dataset.objects, [part for of_image in shown for part in of_image], flat, images, min_visible)
    tiled = replace(dataset, images=images, objects=objects, first=first.astype(np.int64))
    return Tiles(tiled, sources.astype(np.int64), flat)


#: Rows of the objects that a window shows, float64 [B, 4] their boxes there, float64 [B] which share of each that is.
_Shown = tuple[Positions, NDArray[np.float64], NDArray[np.float64]]


def _record(image: ImageRecord, window: Window, number: int) -> ImageRecord:
    if (window.width, window.height) == (image.width, image.height):
        return replace(image, id=number)
    name = f"{PurePosixPath(image.name).with_suffix('')}_{window.left}_{window.top}.png"
    corner = {"left": window.left, "top": window.top}
    return ImageRecord(number, name, image.path, window.width, window.height, whole=image, **corner)


def _shown(dataset: DetectionSet, index: int, seen: Sequence[Window]) -> list[_Shown]:
    """What each window of an image shows; an image that is its only window shows all that is there, as it is."""
    rows = np.arange(dataset.first[index], dataset.first[index + 1])
    boxes = dataset.objects.boxes_xyxy[rows]
    if len(seen) == 1:
        return [(rows, boxes, np.ones(len(rows)))]
    image = dataset.images[index]
    whole = _areas(np.clip(boxes, 0, (image.width, image.height) * 2))
    found = []
    for window in seen:
        corner = np.array((window.left, window.top) * 2)
        here = np.clip(boxes - corner, 0, (window.width, window.height) * 2)
        areas = _areas(here)
        there = areas > 0
        found.append((rows[there], here[there], areas[there] / whole[there]))
    return found


def _areas(boxes_xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
    areas: NDArray[np.float64] = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0).prod(axis=1)
    return areas


def _objects(
    objects: Objects,
    shown: Sequence[_Shown],
    seen: Sequence[Window],
    images: Sequence[ImageRecord],
    min_visible: float,
) -> Objects:
    rows = np.concatenate([part[0] for part in shown])
    shares = np.concatenate([part[2] for part in shown])
    owners = np.repeat(np.arange(len(shown)), [len(part[0]) for part in shown])
    taken = objects.take(rows)
    return replace(
        taken,
        boxes_xyxy=np.concatenate([part[1] for part in shown]),
        area=taken.area * shares,
        ignored=taken.ignored | (shares < min_visible),
        ids=np.arange(1, len(rows) + 1),
        outlines=_outlines(taken.outlines, owners, seen, images),
        masks=_masks(taken.masks, owners, images),
    )


def _outlines(outlines: Outlines, owners: Positions, seen: Sequence[Window], images: Sequence[ImageRecord]) -> Outlines:
    if not outlines.present(np.arange(len(outlines))).any():
        return outlines
    return Outlines.pack(
        outlines[row] if images[owner].whole is None else _cut_polygons(outlines[row], seen[owner])
        for row, owner in enumerate(owners.tolist())
    )


def _cut_polygons(polygons: Sequence[Polygon], window: Window) -> list[Polygon]:
    moved = (polygon - (window.left, window.top) for polygon in polygons)
    found = [clip_polygon(polygon, window.width, window.height) for polygon in moved]
    return [polygon for polygon in found if len(polygon) > 2]


def _masks(masks: NDArray[np.object_], owners: Positions, images: Sequence[ImageRecord]) -> NDArray[np.object_]:
    found = masks.copy()
    for row, owner in enumerate(owners.tolist()):
        if masks[row] is not None and images[owner].whole is not None:
            found[row] = _cut_mask(json.loads(masks[row]), images[owner])
    return found


def _cut_mask(segmentation: dict[str, Any], image: ImageRecord) -> str | None:
    """Run lengths of a window of the mask; None where the window shows nothing of it."""
    from pycocotools import mask

    height, width = segmentation["size"]
    lengths = segmentation if isinstance(segmentation["counts"], str) else mask.frPyObjects(segmentation, height, width)
    rows, columns = slice(image.top, image.top + image.height), slice(image.left, image.left + image.width)
    with warnings.catch_warnings():
        # NumPy does not like how pycocotools hands over its array.
        warnings.simplefilter("ignore", DeprecationWarning)
        pixels = mask.decode(lengths)[rows, columns]
    if not pixels.any():
        return None
    encoded = mask.encode(np.asfortranarray(pixels))
    return json.dumps({"size": encoded["size"], "counts": encoded["counts"].decode("ascii")})

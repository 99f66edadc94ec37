"""Large images as overlapping tiles: a data set whose images are the tiles of another one's."""

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

from spdbuild.boxes.tiling import Tile, looked_at
from spdbuild.data.detection.boxes import areas, clipped
from spdbuild.data.detection.geometry import clip_polygon
from spdbuild.data.detection.outlines import Outlines, Polygon
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Objects
from spdbuild.declaring.ranges import require_range

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class TileOptions:
    """How images that are larger than a tile are cut into tiles; by default they stay whole.

    Training treats the tiles as images. Evaluation looks at all tiles of an image and merges what is found in them, so
    that metrics are those of whole images, as without tiles; nms.max_detections limits the boxes of a tile.

    size: side of a tile in pixels of the image as it is in its file; if empty, images stay whole.
    overlap: least share of a tile that its neighbour covers too; an object smaller than that is whole in one of
        them.
    whole: whether an image that is cut is also used whole, for objects that are larger than the overlap.
    min_visible: least share of an object's box that a tile must show for the object to be learned from it.
    background: how many tiles without any object training keeps, at most, per tile with an object.

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
    """The tiles of a data set's images, those of an image one after another.

    dataset: its images are the tiles, named <image>_<left>_<top>.png; an image no larger than a tile, or used whole
        after its tiles, is unchanged. Objects are cut at the border of their tile; those of which it shows too little
        are to be ignored.
    sources: int64 [M], for each tile the position of its image.
    places: where each tile lies in it.
    """

    dataset: DetectionSet
    sources: Positions
    places: tuple[Tile, ...]

    @cached_property
    def cut(self) -> NDArray[np.bool_]:
        """Which tiles are not a whole image, bool [M]."""
        return np.array([image.whole is not None for image in self.dataset.images])

    def to_learn(self, background: float) -> DetectionSet:
        """The tiles with an object to be learned, and at most `background` times as many without any, evenly spread.

        Tiles that show only parts of objects would teach that parts are background, so they are left out.
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
    """Every tile of every image that is larger than `size`; see TileOptions for the numbers."""
    seen = [looked_at(image.height, image.width, size, overlap, whole) for image in dataset.images]
    sources = np.repeat(np.arange(len(dataset)), [len(own) for own in seen])
    flat = tuple(tile for own in seen for tile in own)
    images = tuple(
        _record(dataset.images[source], tile, number)
        for number, (source, tile) in enumerate(zip(sources.tolist(), flat, strict=True), 1)
    )
    shown = [_shown(dataset, index, own) for index, own in enumerate(seen)]
    first = np.concatenate(([0], np.cumsum([len(rows) for of_image in shown for rows, *_ in of_image])))
    objects = _objects(dataset.objects, [part for of_image in shown for part in of_image], flat, images, min_visible)
    # Of the tiles of all images only some are learned from.
    tiled = replace(dataset, images=images, objects=objects, first=first.astype(np.int64), part_of=None)
    return Tiles(tiled, sources.astype(np.int64), flat)


#: Rows of the objects that a tile shows; their boxes there, float64 [B, 4]; the visible share of each, float64 [B].
_Shown = tuple[Positions, NDArray[np.float64], NDArray[np.float64]]


def _record(image: ImageRecord, tile: Tile, number: int) -> ImageRecord:
    if (tile.width, tile.height) == (image.width, image.height):
        return replace(image, id=number)
    name = f"{PurePosixPath(image.name).with_suffix('')}_{tile.left}_{tile.top}.png"
    corner = {"left": tile.left, "top": tile.top}
    return ImageRecord(number, name, image.path, tile.width, tile.height, whole=image, **corner)


def _shown(dataset: DetectionSet, index: int, seen: Sequence[Tile]) -> list[_Shown]:
    """What each tile of an image shows; an image that is its only tile shows everything unchanged."""
    rows = np.arange(dataset.first[index], dataset.first[index + 1])
    boxes = dataset.objects.boxes_xyxy[rows]
    if len(seen) == 1:
        return [(rows, boxes, np.ones(len(rows)))]
    image = dataset.images[index]
    whole = areas(clipped(boxes, image.width, image.height))
    found = []
    for tile in seen:
        corner = np.array((tile.left, tile.top) * 2)
        here = clipped(boxes - corner, tile.width, tile.height)
        shown = areas(here)
        there = shown > 0
        found.append((rows[there], here[there], shown[there] / whole[there]))
    return found


def _objects(
    objects: Objects,
    shown: Sequence[_Shown],
    seen: Sequence[Tile],
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


def _outlines(outlines: Outlines, owners: Positions, seen: Sequence[Tile], images: Sequence[ImageRecord]) -> Outlines:
    if not outlines.present(np.arange(len(outlines))).any():
        return outlines
    return Outlines.pack(
        outlines[row] if images[owner].whole is None else _cut_polygons(outlines[row], seen[owner])
        for row, owner in enumerate(owners.tolist())
    )


def _cut_polygons(polygons: Sequence[Polygon], tile: Tile) -> list[Polygon]:
    moved = (polygon - (tile.left, tile.top) for polygon in polygons)
    found = [clip_polygon(polygon, tile.width, tile.height) for polygon in moved]
    return [polygon for polygon in found if len(polygon) > 2]


def _masks(masks: NDArray[np.object_], owners: Positions, images: Sequence[ImageRecord]) -> NDArray[np.object_]:
    found = masks.copy()
    for row, owner in enumerate(owners.tolist()):
        if masks[row] is not None and images[owner].whole is not None:
            found[row] = _cut_mask(json.loads(masks[row]), images[owner])
    return found


def _cut_mask(segmentation: dict[str, Any], image: ImageRecord) -> str | None:
    """Run lengths of a tile of the mask; None if the tile shows nothing of it."""
    from pycocotools import mask

    height, width = segmentation["size"]
    lengths = segmentation if isinstance(segmentation["counts"], str) else mask.frPyObjects(segmentation, height, width)
    rows, columns = slice(image.top, image.top + image.height), slice(image.left, image.left + image.width)
    with warnings.catch_warnings():
        # NumPy warns about how pycocotools passes its array.
        warnings.simplefilter("ignore", DeprecationWarning)
        pixels = mask.decode(lengths)[rows, columns]
    if not pixels.any():
        return None
    encoded = mask.encode(np.asfortranarray(pixels))
    return json.dumps({"size": encoded["size"], "counts": encoded["counts"].decode("ascii")})

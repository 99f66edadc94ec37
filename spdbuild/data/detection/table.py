"""The form into which every detection data set is read: images, and a row for each annotated object."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.findings import LOST_IMAGE, Finding, Kind
from spdbuild.data.detection.outlines import Outlines, Polygon
from spdbuild.data.files.levels import Levels
from spdbuild.errors import DataError

Pixels = NDArray[np.uint8]

#: The class of an object whose category is to be ignored: none of the classes.
NO_CLASS = -1


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image of a data set: its id in evaluation files, its location, and its size in pixels.

    name: path below the folder of images, with `/`; unique in a data set.
    path: the file; None for images that are generated.
    whole: the image that this one is a tile of; None for images of their own.
    left, top: where the tile begins there, in pixels.
    """

    id: int
    name: str
    path: Path | None
    width: int
    height: int
    whole: ImageRecord | None = None
    left: int = 0
    top: int = 0

    def shows(self, box_xyxy: tuple[float, ...]) -> bool:
        """Whether any of a box lies in the image."""
        left, top, right, bottom = box_xyxy
        return left < self.width and top < self.height and right > 0 and bottom > 0


@dataclass(frozen=True, eq=False)
class Objects:
    """Annotated objects in columns, a row each; B rows.

    boxes_xyxy: float64 [B, 4], pixels of the image as it is in its file.
    classes: int64 [B], position in the names of the data set, or NO_CLASS.
    area: float64 [B], square pixels; of the outline if the format has it, else of the box. It decides the size bin.
    crowd: bool [B], a region with many objects: detections in it count neither as right nor as wrong.
    ignored: bool [B], an object to be treated like a crowd region: of an ignored category, or difficult in VOC.
    ids: int64 [B], of the annotation, unique in a data set.
    outlines: for each row its polygons.
    masks: object [B], for each row its mask of run lengths as COCO's JSON text, which takes less memory than lists of
        numbers; None where it has none. Only the writer of COCO's files reads them.
    """

    boxes_xyxy: NDArray[np.float64]
    classes: NDArray[np.int64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    ids: NDArray[np.int64]
    outlines: Outlines
    masks: NDArray[np.object_]

    def __len__(self) -> int:
        return len(self.classes)

    def take(self, rows: NDArray[np.int64] | slice) -> Objects:
        """The given rows, in that order; a slice copies nothing."""
        return Objects(
            self.boxes_xyxy[rows],
            self.classes[rows],
            self.area[rows],
            self.crowd[rows],
            self.ignored[rows],
            self.ids[rows],
            self.outlines.take(rows),
            self.masks[rows],
        )

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Which objects are to be found, bool [B]: those that have a class and are neither crowd nor ignored."""
        return np.asarray((self.classes != NO_CLASS) & ~self.crowd & ~self.ignored)

    @property
    def width(self) -> NDArray[np.float64]:
        return self.boxes_xyxy[:, 2] - self.boxes_xyxy[:, 0]

    @property
    def height(self) -> NDArray[np.float64]:
        return self.boxes_xyxy[:, 3] - self.boxes_xyxy[:, 1]


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """Images with boxes.

    names: those of the classes, in the order of their numbers.
    category_ids: for each class its id in evaluation files.
    first: int64 [N + 1]; the objects of image i are the rows first[i] to first[i + 1].
    findings: what the reader left out or noticed.
    levels: the values that become black and white in grey images of more than 8 bits.
    draw: generates the pixels, uint8 [height, width, 3], of images that have no file.
    part_of: the images with which these are decoded once for all, such as those of all folds; None: these alone.
    """

    names: tuple[str, ...]
    category_ids: tuple[int, ...]
    images: tuple[ImageRecord, ...]
    objects: Objects
    first: NDArray[np.int64]
    findings: tuple[Finding, ...] = ()
    levels: Levels = None
    draw: Callable[[ImageRecord], Pixels] | None = field(default=None, repr=False)
    part_of: DetectionSet | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def of_image(self, index: int) -> Objects:
        """Every object of the image at position `index`."""
        return self.objects.take(slice(self.first[index], self.first[index + 1]))

    @cached_property
    def digest(self) -> str:
        """Equal for the same images, by name and size, with the same objects in the same order."""
        places = [(image.name, image.width, image.height, image.left, image.top) for image in self.images]
        o = self.objects
        digest = hashlib.blake2b(repr((places, self.names)).encode(), digest_size=12)
        for column in (self.first, o.boxes_xyxy, o.classes, o.crowd, o.ignored):
            digest.update(np.ascontiguousarray(column).data)
        return digest.hexdigest()

    @cached_property
    def image_index(self) -> NDArray[np.int64]:
        """int64 [B], the position of each object's image."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    @cached_property
    def trainable(self) -> NDArray[np.bool_]:
        """The objects that a network learns, bool [B]: counted, with an area, and no duplicates."""
        o = self.objects
        sound = o.counted & (o.width > 0) & (o.height > 0)
        # An ignored region before an object with the same box does not make the object a duplicate.
        keys = np.column_stack((self.image_index, o.classes, sound, o.boxes_xyxy))
        once = np.zeros(len(o), bool)
        once[np.unique(keys, axis=0, return_index=True)[1]] = True
        return np.asarray(sound & once)

    def subset(self, indices: Sequence[int]) -> DetectionSet:
        """The images at `indices`, in that order, with their objects."""
        rows = [np.arange(self.first[i], self.first[i + 1]) for i in indices]
        first = np.cumsum([0, *(len(r) for r in rows)])
        objects = self.objects.take(np.concatenate(rows) if rows else np.arange(0))
        return replace(self, images=tuple(self.images[i] for i in indices), objects=objects, first=first)

    def part(self, indices: Sequence[int]) -> DetectionSet:
        """A `subset` that is decoded once for all with the other images of this one."""
        none = np.zeros(len(self) + 1, np.int64)
        without_objects = replace(self, objects=self.objects.take(slice(0, 0)), first=none, findings=())
        return replace(self.subset(indices), part_of=without_objects)


class Table:
    """Gathers images and objects in any order and makes a `DetectionSet` of them, images sorted by name."""

    def __init__(self, names: Sequence[str], category_ids: Sequence[int]) -> None:
        self.names, self.category_ids = tuple(names), tuple(category_ids)
        self.images: list[ImageRecord] = []
        self.findings: list[Finding] = []
        self._rows: list[tuple[int, tuple[float, ...], int, float, bool, bool, int]] = []
        self._outlines: list[tuple[Polygon, ...]] = []
        self._masks: list[str | None] = []
        # For the image added last: its number, and the objects that it already has.
        self._seen_of, self._seen = 0, set[tuple[int, bool, tuple[float, ...]]]()

    def add(
        self,
        image: int,
        box_xyxy: tuple[float, float, float, float],
        class_: int,
        *,
        area: float | None = None,
        crowd: bool = False,
        ignored: bool = False,
        id: int | None = None,
        outline: tuple[Polygon, ...] = (),
        mask: str | None = None,
    ) -> None:
        """Add a row for an object of the image at position `image` of `images`."""
        left, top, right, bottom = box_xyxy
        size = max(right - left, 0) * max(bottom - top, 0) if area is None else area
        number = len(self._rows) + 1 if id is None else id
        self._rows.append((image, box_xyxy, class_, size, crowd, ignored, number))
        self._outlines.append(outline)
        self._masks.append(mask)

    def add_sound(
        self,
        box_xyxy: tuple[float, float, float, float],
        class_: int,
        where: str,
        *,
        ignored: bool,
        area: float | None = None,
        outline: tuple[Polygon, ...] = (),
    ) -> None:
        """Add a row for an object of the image added last, or a finding for one that no detection could hit.

        Those are boxes without an area, outside the image, or already present: of two equal ones only one is ever
        found.
        """
        fault = self._fault(box_xyxy, class_, ignored)
        if fault is None:
            self.add(len(self.images) - 1, box_xyxy, class_, area=area, ignored=ignored, outline=outline)
            return
        kind, what = fault
        name = self.names[class_] if class_ != NO_CLASS else "an ignored object"
        box = ", ".join(f"{edge:g}" for edge in box_xyxy)
        self.findings.append(Finding(kind, where, f"{name} at [{box}] {what}"))

    def _fault(self, box_xyxy: tuple[float, ...], class_: int, ignored: bool) -> tuple[Kind, str] | None:
        left, top, right, bottom = box_xyxy
        if right <= left or bottom <= top:
            return "zero area", "has no area"
        image = self.images[-1]
        if not image.shows(box_xyxy):
            return "box off image", f"lies beside its image of {image.width}x{image.height} pixels"
        if self._seen_of != len(self.images):
            self._seen_of, self._seen = len(self.images), set()
        key = (class_, ignored, box_xyxy)
        if key in self._seen:
            return "duplicate row", "is there already, with the same class and box"
        self._seen.add(key)
        return None

    def build(self, source: str = "the data set") -> DetectionSet:
        """The table; DataError if two images share a name or an id, or if there is no image at all.

        source: where images are read from, for the message.
        """
        self._check_images(source)
        order = sorted(range(len(self.images)), key=lambda i: self.images[i].name)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        owner = place[np.array([row[0] for row in self._rows], np.int64)]
        rows = np.argsort(owner, kind="stable")
        counts = np.bincount(owner, minlength=len(order))
        return DetectionSet(
            self.names,
            self.category_ids,
            tuple(self.images[i] for i in order),
            self._columns().take(rows),
            np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
            (*self.findings, *self._repeated_names()),
        )

    def _repeated_names(self) -> Iterator[Finding]:
        for class_, name in enumerate(self.names):
            if name in self.names[:class_]:
                detail = f"is called '{name}' as class {self.names.index(name)} is"
                yield Finding("duplicate category", f"class {class_}", detail)

    def _columns(self) -> Objects:
        _, boxes, classes, area, crowd, ignored, ids = zip(*self._rows, strict=True) if self._rows else ((),) * 7
        return Objects(
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array(classes, np.int64),
            np.array(area, np.float64),
            np.array(crowd, bool),
            np.array(ignored, bool),
            np.array(ids, np.int64),
            Outlines.pack(self._outlines),
            np.array(self._masks, np.object_),
        )

    def _check_images(self, source: str) -> None:
        if not self.images:
            lost = [finding for finding in self.findings if finding.kind in LOST_IMAGE]
            if lost:
                raise DataError(f"none of the {len(lost)} images of {source} can be used; the first: {lost[0]}")
            raise DataError("the data set has no images")
        for what in ("name", "id"):
            value, count = Counter(getattr(image, what) for image in self.images).most_common(1)[0]
            if count > 1:
                raise DataError(
                    f"{count} images have the {what} '{value}'", hint=f"give each image a {what} of its own"
                )

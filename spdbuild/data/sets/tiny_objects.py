"""A generated data set of objects of a few pixels: nothing to download, and any size and number."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.dataset import DATASETS
from spdbuild.data.detection.dataset import DetectionSplit
from spdbuild.data.detection.table import DetectionSet, ImageRecord, Pixels, Table
from spdbuild.declaring.ranges import require_range

#: Each class is a pattern that differs from the others only in fine detail.
NAMES = ("disc", "ring", "square", "frame", "cross", "stripes")


@dataclass(frozen=True)
class Shape:
    """One object: class, first column and row, side in pixels, colour."""

    class_: int
    left: int
    top: int
    side: int
    colour: tuple[int, int, int]


@DATASETS.register
@dataclass(frozen=True)
class TinyObjects:
    """Discs, rings, squares, frames, crosses and stripes of a few pixels on a rough background.

    Image i of a split is the same for any number of images. Objects do not overlap, and a box is exactly the
    extent of the painted pixels.

    images: number in the training split; the other splits have a quarter of it.
    size: height and width of an image in pixels.
    smallest, largest: side of an object in pixels.
    objects: largest number in an image; some images have none.
    classes: how many of the six patterns.
    seed: of all random numbers.

    Source: defined here.
    """

    task: ClassVar[Literal["detection"]] = "detection"

    images: int = 256
    size: int = 160
    smallest: int = 6
    largest: int = 20
    objects: int = 12
    classes: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        require_range(self, "images", least=1, most=10**6)
        require_range(self, "size", least=32, most=4096)
        require_range(self, "smallest", least=5, most=self.largest)
        require_range(self, "largest", least=5, most=self.size // 2)
        require_range(self, "objects", least=1, most=1000)
        require_range(self, "classes", least=1, most=len(NAMES))

    def open(self, split: DetectionSplit) -> DetectionSet:
        return self.read(split)

    def read(self, split: DetectionSplit) -> DetectionSet:
        """The table of a split; pixels are painted on demand."""
        table = Table(NAMES[: self.classes], range(1, self.classes + 1))
        count = self.images if split == "train" else max(1, self.images // 4)
        painter = Painter(self, split)
        for index in range(count):
            table.images.append(ImageRecord(index + 1, f"{split}-{index:06}.png", None, self.size, self.size))
            for shape in painter.shapes(index):
                box = (shape.left, shape.top, shape.left + shape.side, shape.top + shape.side)
                table.add(index, tuple(map(float, box)), shape.class_)  # type: ignore[arg-type]
        return replace(table.build(), draw=painter)

    @classmethod
    def sample(cls) -> DetectionSet:
        return cls(images=8, size=64).open("train")


@dataclass(frozen=True)
class Painter:
    """Makes the images of a split, and knows the objects in them."""

    options: TinyObjects
    split: str

    def __call__(self, image: ImageRecord) -> Pixels:
        """uint8 [size, size, 3]."""
        index = image.id - 1
        pixels = _background(self._random(index, "background"), self.options.size)
        for shape in self.shapes(index):
            part = pixels[shape.top : shape.top + shape.side, shape.left : shape.left + shape.side]
            part[pattern(NAMES[shape.class_], shape.side)] = shape.colour
        return pixels

    def shapes(self, index: int) -> list[Shape]:
        """Objects at random places, each at least two pixels from the others."""
        rng, o = self._random(index, "shapes"), self.options
        taken = np.zeros((o.size, o.size), bool)
        shapes = []
        for _ in range(rng.integers(o.objects + 1)):
            side = int(rng.integers(o.smallest, o.largest + 1))
            left, top = rng.integers(0, o.size - side + 1, 2).tolist()
            class_, colour = int(rng.integers(o.classes)), rng.integers(150, 256, 3).tolist()
            around = taken[max(0, top - 2) : top + side + 2, max(0, left - 2) : left + side + 2]
            if not around.any():
                around[:] = True
                shapes.append(Shape(class_, left, top, side, (colour[0], colour[1], colour[2])))
        return shapes

    def _random(self, index: int, purpose: str) -> np.random.Generator:
        parts = (self.options.seed, *self.split.encode(), *purpose.encode(), index)
        return np.random.default_rng(parts)


def _background(rng: np.random.Generator, size: int) -> Pixels:
    """Dark, with soft patches and noise."""
    patches = rng.integers(20, 90, (size // 16 + 2, size // 16 + 2, 3))
    coarse = np.repeat(np.repeat(patches, 16, axis=0), 16, axis=1)[:size, :size]
    return (coarse + rng.integers(0, 30, (size, size, 3))).astype(np.uint8)


def pattern(name: str, side: int) -> NDArray[np.bool_]:
    """The painted pixels of a shape, bool [side, side]; it touches all four borders."""
    y, x = np.mgrid[:side, :side]
    centre = (side - 1) / 2
    radius = np.hypot(x - centre, y - centre)
    disc = radius <= side / 2
    edge = np.minimum(np.minimum(x, y), np.minimum(side - 1 - x, side - 1 - y))
    thick = max(1, side // 5)
    shapes: dict[str, NDArray[np.bool_]] = {
        "disc": disc,
        "ring": disc & (radius > side / 2 - thick),
        "square": np.ones((side, side), bool),
        "frame": edge < thick,
        "cross": (abs(x - centre) <= thick / 2) | (abs(y - centre) <= thick / 2),
        "stripes": (y // thick % 2 == 0) | (y == side - 1),
    }
    return shapes[name]

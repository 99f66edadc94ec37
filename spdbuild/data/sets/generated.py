"""A generated data set in which only detail of one or two pixels tells the classes apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Literal

import torch
from torch import Tensor

from spdbuild.data.dataset import DATASETS, Split
from spdbuild.data.draws import generator
from spdbuild.data.files.images import ArrayImages
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError
from spdbuild.shape import Size, pair
from spdbuild.system.memory import require_memory

#: Textures of period 2. Every other pixel of every other row looks the same in all three: one value everywhere.
_TEXTURES = {
    "columns": ((1, -1), (1, -1)),
    "rows": ((1, 1), (-1, -1)),
    "checks": ((1, -1), (-1, 1)),
}
_PAIRS = tuple(product(_TEXTURES, repeat=2))

#: Side of a textured cell in pixels, and by how many grey levels the texture lifts and lowers them.
_CELL = 6
_CONTRAST = 48
_NOISE = 6

#: While images are made, each pixel exists three times at once, in three channels of four bytes.
_BYTES_PER_PIXEL = 3 * 3 * 4


@DATASETS.register
@dataclass(frozen=True)
class Generated:
    """Smooth coloured backgrounds with two small textured cells side by side; the pair of textures is the class.

    A cell has 6x6 pixels of columns, rows or checks one pixel wide, or of the inverse. A network that drops every other
    pixel first sees the same two flat squares in every class. The splits are disjoint: they are drawn from
    different streams of random numbers.

    classes: 2 to 9, pairs of the three textures.
    train, test: number of images in each split.
    size: [height, width] of the images in pixels, or one number for both; at least 16.
    seed: another seed gives other images.
    """

    task: ClassVar[Literal["classification"]] = "classification"

    classes: int = 9
    train: int = 4500
    test: int = 900
    size: Size = 32
    seed: int = 0

    def __post_init__(self) -> None:
        require_range(self, "classes", least=2, most=len(_PAIRS))
        require_range(self, "size", least=16)
        for name, count in (("train", self.train), ("test", self.test)):
            if count < self.classes:
                raise ArgumentError(
                    f"{name} must be at least {self.classes}, one image a class, got {count}", argument=name
                )

    def open(self, split: Split) -> ArrayImages:
        count = self.train if split == "train" else self.test
        height, width = pair(self.size)
        what = f"{count:,} generated images of {width}x{height} pixels"
        require_memory(count * height * width * _BYTES_PER_PIXEL, what, hint=f"a smaller {split} or size")
        stream = generator("generated", self.seed, split)
        labels = torch.arange(count) % self.classes
        images = _backgrounds(count, height, width, stream) + _objects(labels, height, width, stream)
        images += torch.randn(images.shape, generator=stream) * _NOISE
        names = tuple(f"{left} {right}" for left, right in _PAIRS[: self.classes])
        return ArrayImages(images.round().clamp(0, 255).to(torch.uint8), labels, names)

    @classmethod
    def sample(cls) -> ArrayImages:
        return cls(train=9, test=9).open("train")


def _backgrounds(count: int, height: int, width: int, stream: torch.Generator) -> Tensor:
    """Colour gradients, [count, 3, height, width], within 60 to 195."""
    corners = torch.rand((count, 3, 2, 2), generator=stream) * 135 + 60
    return torch.nn.functional.interpolate(corners, size=(height, width), mode="bilinear", align_corners=True)


def _objects(labels: Tensor, height: int, width: int, stream: torch.Generator) -> Tensor:
    """The textured cells at random places on zero, [N, 1, height, width]; each inverted half of the time."""
    count = len(labels)
    patches = torch.cat([_cells(labels // len(_TEXTURES), stream), _cells(labels % len(_TEXTURES), stream)], dim=2)
    top = torch.randint(height - _CELL + 1, (count, 1, 1), generator=stream)
    left = torch.randint(width - 2 * _CELL + 1, (count, 1, 1), generator=stream)
    objects = torch.zeros(count, height, width)
    rows, columns = torch.arange(_CELL).view(1, -1, 1) + top, torch.arange(2 * _CELL).view(1, 1, -1) + left
    objects[torch.arange(count).view(-1, 1, 1), rows, columns] = patches
    return objects[:, None]


def _cells(textures: Tensor, stream: torch.Generator) -> Tensor:
    """[N, cell, cell]; textures: their positions in `_TEXTURES`."""
    tiles = torch.tensor(list(_TEXTURES.values()), dtype=torch.float32).repeat(1, _CELL // 2, _CELL // 2)
    sign = torch.randint(2, (len(textures), 1, 1), generator=stream) * 2 - 1
    return tiles[textures] * sign * _CONTRAST

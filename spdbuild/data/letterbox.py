"""Letterboxing: an image scaled into a fixed size with its aspect ratio kept, the rest padded; and its boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spdbuild.boxes.boxes import clip_xyxy

FILL = 114


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The placement of an image of `source` size in one of `target` size; all in pixels, sizes as (height, width).

    gain: scale factor, before sizes are rounded to whole pixels.
    resized: size of the scaled image.
    left, top: its position in the target.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    gain: float
    resized: tuple[int, int]
    left: int
    top: int

    @classmethod
    def fit(
        cls, source: tuple[int, int], size: tuple[int, int], *, upscale: bool = True, multiple: int | None = None
    ) -> Letterbox:
        """The letterbox of an image of `source` size, centred in `size`.

        upscale: whether a small image is enlarged to touch the border.
        multiple: pad no further than the next multiple of it on each side, so the target may be smaller than `size`.
        """
        gain = min(size[0] / source[0], size[1] / source[1])
        if not upscale:
            gain = min(gain, 1.0)
        resized = (max(1, round(source[0] * gain)), max(1, round(source[1] * gain)))
        spare = (size[0] - resized[0], size[1] - resized[1])
        if multiple:
            spare = (spare[0] % multiple, spare[1] % multiple)
        # If the padding is odd, its smaller half goes to the top and left; 0.1 decides what .5 rounds to.
        top, left = round(spare[0] / 2 - 0.1), round(spare[1] / 2 - 0.1)
        return cls(source, (resized[0] + spare[0], resized[1] + spare[1]), gain, resized, left, top)

    def apply(self, image: Tensor, fill: int = FILL) -> Tensor:
        """The image [C, height, width] in the target size; `fill` is the value of the padding."""
        if self.resized != self.source:
            from torchvision.transforms.v2.functional import resize

            image = resize(image, list(self.resized), antialias=True)
        right = self.target[1] - self.resized[1] - self.left
        bottom = self.target[0] - self.resized[0] - self.top
        return torch.nn.functional.pad(image, (self.left, right, self.top, bottom), value=fill)

    @property
    def scale(self) -> tuple[float, float]:
        """Factors (x, y) from pixels of the source to those of the target.

        Each axis has its own: the sizes are whole pixels, so neither factor is exactly `gain`.
        """
        return self.resized[1] / self.source[1], self.resized[0] / self.source[0]

    def to_source(self, boxes_xyxy: Tensor) -> Tensor:
        """Boxes in pixels of the target as boxes in pixels of the source, clipped to it."""
        scale = boxes_xyxy.new_tensor(self.scale * 2)
        shift = boxes_xyxy.new_tensor((self.left, self.top) * 2)
        return clip_xyxy((boxes_xyxy - shift) / scale, *self.source)


def rectangular_sizes(
    sizes: Sequence[tuple[int, int]], image_size: int, batch: int, multiple: int = 32, pad: float = 0.5
) -> tuple[list[int], list[tuple[int, int]]]:
    """Batches of images of similar aspect ratio, each with the smallest size that holds its images.

    sizes: (height, width) of each image in pixels; image_size: length that the long side is scaled to.
    pad: what is added to each side before it is rounded up, in units of `multiple`.

    Returns the order in which the images are taken, and the (height, width) of each batch of that order.
    """
    order = sorted(range(len(sizes)), key=lambda i: sizes[i][0] / sizes[i][1])
    shapes = []
    for start in range(0, len(order), batch):
        members = [sizes[i] for i in order[start : start + batch]]
        sides = [max(size[axis] / max(size) for size in members) for axis in (0, 1)]
        height, width = (math.ceil(side * image_size / multiple + pad) * multiple for side in sides)
        shapes.append((height, width))
    return order, shapes

"""Detections in one picture of any size, looked at whole or in tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from spdbuild.boxes.tiling import Tile, looked_at, merge_detections
from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.loader import MULTIPLE
from spdbuild.data.detection.pixels import read_file, read_pixels
from spdbuild.data.detection.table import DetectionSet, Pixels
from spdbuild.data.files.levels import Levels
from spdbuild.data.files.pictures import Source
from spdbuild.data.letterbox import Letterbox
from spdbuild.errors import DataError
from spdbuild.metrics.nms import NmsOptions, select_detections
from spdbuild.training.detection.images import to_network
from spdbuild.training.detection.options import SeeingOptions
from spdbuild.training.detection.views import Detector


@dataclass
class Seer:
    """A detector that looks at pictures.

    long_side: pixels that the longer side of a picture or tile is scaled to.
    batch: tiles that go through the network at once.
    limited: whether NMS has kept as many boxes of some picture or tile as it may, so that others may be missing.
    """

    detector: Detector
    options: SeeingOptions
    long_side: int
    batch: int
    limited: bool = field(default=False, init=False)

    @torch.inference_mode()
    def see(self, picture: Tensor) -> Tensor:
        """The detections [D, 6] in a picture, uint8 [3, height, width]: left, top, right, bottom, score, class.

        Boxes are in its pixels; the best come first. A picture larger than `options.tile` is looked at in tiles.
        """
        parts = parts_of(picture, self.options.tile, self.options.overlap, self.options.whole)
        found: list[Tensor] = []
        for _, alike in groupby((part for part, _ in parts), lambda part: part.shape):
            same = list(alike)
            for start in range(0, len(same), self.batch):
                found += self._look(same[start : start + self.batch])
        if len(parts) == 1:
            return found[0]
        height, width = picture.shape[1:]
        return merged(found, [tile for _, tile in parts], (height, width), self.options.nms)

    def _look(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        """The detections in pictures of one size."""
        fitted = [letterboxed(picture, (self.long_side, self.long_side), MULTIPLE) for picture in pictures]
        device = next(self.detector.parameters()).device
        boxes = self.detector(to_network(torch.stack([f for f, _ in fitted]), device))
        # On the device, so that a few boxes are copied from it and not all outputs of the network.
        found = [own.cpu() for own in select_detections(boxes, self.options.nms)]
        self.limited |= any(len(own) == self.options.nms.max_detections for own in found)
        placed = zip(found, fitted, strict=True)
        return [torch.cat((place.to_source(own[:, :4]), own[:, 4:]), dim=1) for own, (_, place) in placed]


def parts_of(picture: Tensor, tile: int | None, overlap: float, whole: bool) -> list[tuple[Tensor, Tile]]:
    """The parts of a picture [3, height, width] that are looked at, and where they lie; see `looked_at`."""
    height, width = picture.shape[1:]
    return [(_cut(picture, part), part) for part in looked_at(height, width, tile, overlap, whole)]


def merged(found: Sequence[Tensor], seen: Sequence[Tile], size: tuple[int, int], nms: NmsOptions) -> Tensor:
    """The detections [D, 6] of an image of that (height, width) from those of its tiles, in pixels of each.

    The limit of `nms` has been applied to each tile; the whole image may have more.
    """
    return merge_detections(found, seen, *size, nms.max_iou, class_agnostic=nms.class_agnostic)


def letterboxed(picture: Tensor, size: tuple[int, int], multiple: int | None = None) -> tuple[Tensor, Letterbox]:
    """A picture [3, height, width] fitted into `size`, and its placement there."""
    place = Letterbox.fit((picture.shape[1], picture.shape[2]), size, multiple=multiple)
    return place.apply(picture), place


def read_picture(source: Source, levels: Levels) -> Tensor:
    """A file, or a picture in its place, as uint8 [3, height, width]; DataError if it is bad.

    levels: the values that become black and white in grey images of more than 8 bits.
    """
    return _tensor(read_file(source, levels))


def picture_of(dataset: DetectionSet, index: int) -> Tensor:
    """The image at position `index`, uint8 [3, height, width]; DataError if it is bad."""
    return _tensor(read_pixels(dataset, index))


def _tensor(pixels: Pixels | Finding) -> Tensor:
    if isinstance(pixels, Finding):
        raise DataError(str(pixels))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _cut(picture: Tensor, tile: Tile) -> Tensor:
    return picture[:, tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]

"""Cut a large image into overlapping tiles, and merge the detections of the tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from spdbuild.boxes.boxes import area_xyxy, clip_xyxy, intersection_xyxy
from spdbuild.errors import ArgumentError

# A box that ends this close to a cut, in pixels, may be a part of an object.
MARGIN = 2.0
# The share of such a box that another may cover before it is dropped.
MAX_COVERED = 0.5


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of an image, in pixels of the image."""

    left: int
    top: int
    width: int
    height: int


def tiles(height: int, width: int, size: int, overlap: float = 0.2) -> list[Tile]:
    """Tiles of `size` x `size` pixels that cover an image, row by row and evenly spaced.

    overlap: the least share of a tile that its neighbour covers too; an object smaller than that is whole in one of
        them. A side of the image that is shorter than `size` gives tiles of that side.
    """
    if not 0 <= overlap < 1:
        raise ArgumentError(f"overlap must be at least 0 and less than 1, got {overlap}", argument="overlap")
    tall, wide = min(size, height), min(size, width)
    step = max(1, math.floor(size * (1 - overlap)))
    return [Tile(left, top, wide, tall) for top in _starts(height, tall, step) for left in _starts(width, wide, step)]


def looked_at(height: int, width: int, size: int | None, overlap: float, whole: bool) -> list[Tile]:
    """The tiles of an image, followed, if `whole` and the image is larger than one tile, by the whole image.

    size: that of a tile; None: only the whole image.
    """
    everything = Tile(0, 0, width, height)
    if size is None or max(height, width) <= size:
        return [everything]
    return tiles(height, width, size, overlap) + [everything] * whole


def _starts(length: int, size: int, step: int) -> list[int]:
    count = math.ceil((length - size) / step) + 1
    return [(length - size) * index // max(1, count - 1) for index in range(count)]


def merge_detections(
    found: Sequence[Tensor],
    seen: Sequence[Tile],
    height: int,
    width: int,
    max_iou: float = 0.5,
    max_covered: float = MAX_COVERED,
    class_agnostic: bool = False,
) -> Tensor:
    """The detections of the whole image [D, 6], best score first, from those of its tiles.

    found: per tile [D, 6], rows (left, top, right, bottom, score, class) in pixels of the tile.
    max_iou: of two boxes that overlap more, the one with the lower score is dropped.
    max_covered: a box that ends at a cut edge of its tile is taken for a part of an object; it is dropped if a box that
        ends at no cut covers more than this share of it, whatever the scores.
    """
    parts = torch.cat([_at_a_cut(boxes, tile, height, width) for boxes, tile in zip(found, seen, strict=True)])
    moved = torch.cat([_moved(boxes, tile) for boxes, tile in zip(found, seen, strict=True)])
    moved = torch.cat((clip_xyxy(moved[:, :4], height, width), moved[:, 4:]), dim=1)
    whole = _suppressed(moved[~parts], max_iou, class_agnostic)
    loose = moved[parts]
    loose = loose[~_covered(loose, whole, max_covered, class_agnostic)]
    return _suppressed(torch.cat((whole, loose)), max_iou, class_agnostic)


def _moved(detections: Tensor, tile: Tile) -> Tensor:
    return detections + detections.new_tensor((tile.left, tile.top, tile.left, tile.top, 0, 0))


def _at_a_cut(detections: Tensor, tile: Tile, height: int, width: int) -> Tensor:
    """Which boxes of a tile end at an edge where it was cut out of the image: bool [D]."""
    left, top, right, bottom = detections[:, :4].unbind(dim=1)
    cut = torch.zeros_like(left, dtype=torch.bool)
    if tile.left > 0:
        cut |= left <= MARGIN
    if tile.top > 0:
        cut |= top <= MARGIN
    if tile.left + tile.width < width:
        cut |= right >= tile.width - MARGIN
    if tile.top + tile.height < height:
        cut |= bottom >= tile.height - MARGIN
    return cut


def _covered(parts: Tensor, whole: Tensor, max_covered: float, class_agnostic: bool) -> Tensor:
    """Which of the boxes [P, 6] are largely covered by one of the boxes [W, 6] of their class: bool [P]."""
    shared = intersection_xyxy(parts[:, :4], whole[:, :4])  # [P, W]
    if not class_agnostic:
        shared = shared * (parts[:, None, 5] == whole[None, :, 5])
    return (shared > max_covered * area_xyxy(parts[:, :4])[:, None]).any(dim=1)


def _suppressed(detections: Tensor, max_iou: float, class_agnostic: bool) -> Tensor:
    from torchvision.ops import batched_nms

    classes = torch.zeros_like(detections[:, 5]) if class_agnostic else detections[:, 5]
    return detections[batched_nms(detections[:, :4], detections[:, 4], classes, max_iou)]

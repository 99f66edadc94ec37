"""Detections in the tiles of images, evaluated as detections in the images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from torch import Tensor

from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.tiles import Tiles
from spdbuild.metrics.nms import NmsOptions
from spdbuild.training.detection.meter import DetectionMeter
from spdbuild.training.detection.seeing import merged
from spdbuild.training.task import Evaluation


class TiledMeter:
    """Gathers what is found in each tile, and gives it to the meter of the images when all tiles are there.

    Its state holds by the position of each tile its detections [D, 6], in pixels of the tile.
    """

    def __init__(self, meter: DetectionMeter, tiles: Tiles, nms: NmsOptions) -> None:
        self._meter, self._tiles, self._nms = meter, tiles, nms
        self._found: dict[int, Tensor] = {}

    def update(self, boxes: Tensor, batch: DetectionBatch) -> None:
        self._found |= self._meter.found(boxes, batch)

    def state(self) -> dict[str, Any]:
        return {"found": self._found}

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        found = {index: rows for state in states for index, rows in state["found"].items()}
        for source, members in groupby(range(len(self._tiles.places)), self._tiles.sources.__getitem__):
            self._meter.add(int(source), self._of_image(found, list(members)))
        self._meter.merge([self._meter.state()])

    def evaluation(self) -> Evaluation:
        return self._meter.evaluation()

    def _of_image(self, found: Mapping[int, Tensor], members: Sequence[int]) -> Tensor:
        """The detections of an image from those of its tiles."""
        whole = self._tiles.dataset.images[members[0]].whole
        if whole is None:
            return found[members[0]]
        rows, seen = [found[index] for index in members], [self._tiles.places[index] for index in members]
        return merged(rows, seen, (whole.height, whole.width), self._nms)

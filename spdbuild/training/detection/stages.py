"""How long each step from a file to boxes takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor, nn

from spdbuild.data.detection.table import DetectionSet
from spdbuild.metrics.nms import NmsOptions, select_detections
from spdbuild.nn.detection import Detect
from spdbuild.system.timing import wait_for
from spdbuild.training.detection.head import head_of, maps_of
from spdbuild.training.detection.images import DetectionImages, to_network
from spdbuild.training.detection.seeing import letterboxed, parts_of, picture_of
from spdbuild.training.precision import autocast

T = TypeVar("T")


@torch.inference_mode()
def measure_stages(
    model: nn.Module,
    images: DetectionImages,
    batch: int,
    nms: NmsOptions,
    precision: str,
    device: torch.device,
    rounds: int = 8,
) -> dict[str, float]:
    """Milliseconds per image, median over batches of images, each fitted into a square, or each of its tiles.

    read: a file to pixels. prepare: pixels to the network's input. network: to maps. boxes: maps to detections, of the
    image or of its tiles.
    """
    dataset = images.dataset
    head, clock = head_of(model.eval()), _Clock(device)
    for index in range(rounds + 1):
        members = [(index * batch + position) % len(dataset) for position in range(batch)]
        pixels = clock.time("read", partial(_read, dataset, members))
        given = clock.time("prepare", partial(_prepared, pixels, images, batch, device))
        maps = clock.time("network", partial(_maps, model, given, precision, device))
        clock.time("boxes", partial(_boxes, head, maps, nms))
    # The first batch warms up.
    return {stage: 1000 * median(times[1:]) / batch for stage, times in clock.times.items()}


class _Clock:
    """Seconds of each call by stage, the device's work included."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.times: dict[str, list[float]] = {}

    def time(self, stage: str, call: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = call()
        wait_for(self._device)
        self.times.setdefault(stage, []).append(time.perf_counter() - start)
        return result


def _read(dataset: DetectionSet, indices: Sequence[int]) -> list[Tensor]:
    return [picture_of(dataset, index) for index in indices]


def _prepared(pixels: Sequence[Tensor], images: DetectionImages, batch: int, device: torch.device) -> list[Tensor]:
    """The images, or their tiles, as batches of at most `batch`."""
    square, tiling = (images.long_side, images.long_side), images.tiling
    parts = [part for image in pixels for part, _ in parts_of(image, tiling.size, tiling.overlap, tiling.whole)]
    fitted = [letterboxed(part, square)[0] for part in parts]
    return [to_network(torch.stack(fitted[start : start + batch]), device) for start in range(0, len(fitted), batch)]


def _maps(model: nn.Module, given: Sequence[Tensor], precision: str, device: torch.device) -> list[list[Tensor]]:
    with autocast(precision, device):
        return [maps_of(model(images)) for images in given]


def _boxes(head: Detect, maps: Sequence[Sequence[Tensor]], nms: NmsOptions) -> list[list[Tensor]]:
    return [select_detections(head.decode(of_batch), nms) for of_batch in maps]

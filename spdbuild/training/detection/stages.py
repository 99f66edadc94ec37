"""How long each step from a file to boxes takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from statistics import median

import torch
from torch import Tensor

from spdbuild.metrics.nms import NmsOptions, select_detections
from spdbuild.system.timing import wait_for
from spdbuild.training.detection.images import DetectionImages, to_network
from spdbuild.training.detection.seeing import letterboxed, parts_of, picture_of
from spdbuild.training.detection.views import Detector
from spdbuild.training.precision import autocast

#: The number of batches that are timed.
_BATCHES = 8


@torch.inference_mode()
def measure_stages(
    detector: Detector,
    images: DetectionImages,
    batch: int,
    nms: NmsOptions,
    precision: str,
    device: torch.device,
) -> dict[str, float]:
    """Milliseconds per image, median over batches of images, each fitted into a square, or each of its tiles.

    read: a file to pixels. prepare: pixels to the network's input. network: to boxes. boxes: NMS makes them the
    detections of the image or of its tiles.
    """
    detector.eval()
    dataset, times = images.dataset, dict[str, list[float]]()

    @contextmanager
    def clock(stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        wait_for(device)
        times.setdefault(stage, []).append(time.perf_counter() - start)

    for index in range(_BATCHES + 1):
        members = [(index * batch + position) % len(dataset) for position in range(batch)]
        with clock("read"):
            pixels = [picture_of(dataset, member) for member in members]
        with clock("prepare"):
            given = _prepared(pixels, images, batch, device)
        with clock("network"), autocast(precision, device):
            boxes = [detector(parts) for parts in given]
        with clock("boxes"):
            for of_batch in boxes:
                select_detections(of_batch, nms)
    # The first batch warms up.
    return {stage: 1000 * median(seconds[1:]) / batch for stage, seconds in times.items()}


def _prepared(pixels: Sequence[Tensor], images: DetectionImages, batch: int, device: torch.device) -> list[Tensor]:
    """The images, or their tiles, as batches of at most `batch`."""
    square, tiling = (images.long_side, images.long_side), images.tiling
    parts = [part for image in pixels for part, _ in parts_of(image, tiling.size, tiling.overlap, tiling.whole)]
    fitted = [letterboxed(part, square)[0] for part in parts]
    return [to_network(torch.stack(fitted[start : start + batch]), device) for start in range(0, len(fitted), batch)]

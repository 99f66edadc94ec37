"""The detection loss as the training engine takes it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from spdbuild.losses.detection import DetectionLoss, DetectionLossOptions
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.head import maps_of


class DetectionCriterion:
    """The loss of a head's maps for boxes [B, 6], a mean over the images, and its three parts.

    size: pixels of the longer side of an image in training.
    """

    def __init__(self, head: Detect, options: DetectionLossOptions, size: int) -> None:
        self._loss = DetectionLoss(head.anchors, head.classes, options.scaled(len(head.anchors), head.classes, size))

    def __call__(self, outputs: Tensor | Sequence[Tensor], targets: Tensor) -> dict[str, Tensor]:
        maps = maps_of(outputs)
        parts = self._loss(maps, targets)
        return {
            "loss": parts.total / len(maps[0]),
            "box_loss": parts.box,
            "objectness_loss": parts.objectness,
            "class_loss": parts.classification,
        }

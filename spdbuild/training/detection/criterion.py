"""The detection loss as the training engine takes it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from spdbuild.losses.detection import DetectionLoss, DetectionLossOptions
from spdbuild.nn.detection import Detect
from spdbuild.training.detection.head import maps_of


class DetectionCriterion:
    """The loss of a head's maps against boxes [B, 6].

    The engine minimises means over the images of a step; the published training, whose learning rate is meant for
    that, minimises their sum over a step, and so the loss is multiplied by the images of a full step. The parts that
    are reported are means.

    size: pixels of the longer side of an image in training. images: of a full step.
    """

    def __init__(self, head: Detect, options: DetectionLossOptions, size: int, images: int) -> None:
        scaled = options.scaled(len(head.anchors), head.classes, size)
        self._loss, self._images = DetectionLoss(head.anchors, head.classes, scaled), images

    def __call__(self, outputs: Tensor | Sequence[Tensor], targets: Tensor) -> dict[str, Tensor]:
        maps = maps_of(outputs)
        parts = self._loss(maps, targets)
        return {
            "loss": parts.total * (self._images / len(maps[0])),
            "box_loss": parts.box,
            "objectness_loss": parts.objectness,
            "class_loss": parts.classification,
        }

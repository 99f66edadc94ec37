"""Sections below `task:` of a recipe for a detector."""

from __future__ import annotations

from dataclasses import dataclass, field

from spdbuild.errors import ArgumentError
from spdbuild.metrics.detection import Backend, EvaluationOptions, SizeBin
from spdbuild.metrics.nms import DISPLAY, NmsOptions


@dataclass(frozen=True)
class JudgingOptions:
    """How a detector is evaluated; the defaults are those of the published COCO evaluation.

    rectangular: whether batches have images of like aspect and the smallest size that holds them.
    pad: what is added to each side of a rectangular batch before it is rounded up, in multiples of 32 pixels.
    nms: which boxes count as detections.
    sizes: bins of objects by the root of their area, in pixels of the image as it is in its file: {S: [0, 32]}.
    max_detections: detections of an image that count for precision, the best first.
    backend: the library that matches; faster-coco-eval gives the same numbers sooner and is an extra.
    """

    rectangular: bool = True
    pad: float = 0.5
    nms: NmsOptions = field(default_factory=NmsOptions)
    sizes: dict[str, tuple[float, float]] = field(default_factory=lambda: {"S": (0, 32), "M": (32, 96), "L": (96, 1e5)})
    max_detections: int = 100
    backend: Backend = "pycocotools"

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise ArgumentError(f"pad must be at least 0, got {self.pad:g}", argument="pad")
        if self.max_detections < 1:
            raise ArgumentError(
                f"max_detections must be at least 1, got {self.max_detections}", argument="max_detections"
            )
        for name, (low, high) in self.sizes.items():
            if not 0 <= low < high:
                raise ArgumentError(
                    f"the size {name} must grow from at least 0, got {low:g} to {high:g}", argument="sizes"
                )

    def evaluation(self) -> EvaluationOptions:
        """The same as the evaluator takes it."""
        limits = sorted(limit for limit in {1, 10, self.max_detections} if limit <= self.max_detections)
        bins = tuple(SizeBin(name, low, high) for name, (low, high) in self.sizes.items())
        return EvaluationOptions(bins, tuple(limits), self.nms.class_agnostic, self.backend)


@dataclass(frozen=True)
class FittingOptions:
    """Whether anchors that do not fit the boxes of the training data are replaced before training.

    check: whether they are looked at, and replaced if others fit better.
    min_recall: least share of the boxes that some anchor must fit.
    """

    check: bool = True
    min_recall: float = 0.98

    def __post_init__(self) -> None:
        if not 0 <= self.min_recall <= 1:
            raise ArgumentError(f"min_recall must be from 0 to 1, got {self.min_recall:g}", argument="min_recall")


@dataclass(frozen=True)
class SeeingOptions:
    """What is shown to people of a picture.

    nms: which boxes are shown.
    tile: side in pixels of the windows in which larger pictures are looked at; empty: they are looked at whole.
    overlap: share of a window that its neighbour sees too; an object smaller than that is whole in one of them.
    """

    nms: NmsOptions = DISPLAY
    tile: int | None = None
    overlap: float = 0.2

    def __post_init__(self) -> None:
        if self.tile is not None and self.tile < 32:
            raise ArgumentError(f"tile must be at least 32, got {self.tile}", argument="tile")
        if not 0 <= self.overlap < 1:
            raise ArgumentError(f"overlap must be at least 0 and less than 1, got {self.overlap:g}", argument="overlap")

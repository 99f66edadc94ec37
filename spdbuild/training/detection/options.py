"""Sections below `task:` of a recipe for a detector."""

from __future__ import annotations

from dataclasses import dataclass, field

from spdbuild.errors import ArgumentError
from spdbuild.metrics.detection import Backend, EvaluationOptions
from spdbuild.metrics.nms import DisplayNmsOptions, NmsOptions
from spdbuild.ranges import require_range
from spdbuild.roles import Role, role
from spdbuild.size_bins import COCO_SIZES, SizeBin


@dataclass(frozen=True)
class JudgingOptions:
    """How a detector is evaluated; the defaults are those of the published COCO evaluation.

    rectangular: whether batches have images of like aspect and the smallest size that holds them.
    pad: what is added to each side of a rectangular batch before it is rounded up, in multiples of 32 pixels.
    nms: which boxes count as detections.
    sizes: bins of objects by the root of their area, in pixels of the image as it is in its file, beside COCO's, which
        are {S: [0, 32], M: [32, 96], L: [96, 100000]}: {tiny: [0, 16]} adds one, {S: [0, 10]} changes one, and
        {L: null} removes one. Both limits belong to a bin, as in COCO's evaluation: an object on the border of two bins
        counts in both.
    max_detections: detections of an image that count for precision, the best first.
    class_agnostic: whether a detection may have any class, as if there were one alone.
    backend: the library that matches; faster-coco-eval gives the same numbers sooner and is an extra, but not what
        each image gave, which intervals over images are made of.
    """

    rectangular: bool = True
    pad: float = 0.5
    nms: NmsOptions = field(default_factory=NmsOptions)
    sizes: dict[str, tuple[float, float] | None] = field(default_factory=dict)
    max_detections: int = 100
    class_agnostic: bool = False
    backend: Backend = field(default="pycocotools", metadata=role(Role.RESUMED))

    def __post_init__(self) -> None:
        require_range(self, "pad", least=0)
        require_range(self, "max_detections", least=1)
        if self.max_detections > self.nms.max_detections:
            raise ArgumentError(
                f"{self.max_detections} detections of an image cannot count if nms keeps {self.nms.max_detections}",
                argument="max_detections",
                hint="lower max_detections, or raise nms.max_detections",
            )
        for size in self.bins:
            if not 0 <= size.low < size.high:
                raise ArgumentError(
                    f"the size {size.name} must grow from at least 0, got {size.low:g} to {size.high:g}",
                    argument=f"sizes.{size.name}",
                )

    @property
    def bins(self) -> tuple[SizeBin, ...]:
        """COCO's sizes and those that are set, the smallest first."""
        limits = {size.name: (size.low, size.high) for size in COCO_SIZES} | self.sizes
        bins = (SizeBin(name, *given) for name, given in limits.items() if given is not None)
        return tuple(sorted(bins, key=lambda size: (size.low, size.high)))

    def evaluation(self) -> EvaluationOptions:
        """The same as the evaluator takes it."""
        limits = sorted(limit for limit in {1, 10, self.max_detections} if limit <= self.max_detections)
        return EvaluationOptions(self.bins, tuple(limits), self.class_agnostic, self.backend)


@dataclass(frozen=True)
class FittingOptions:
    """Whether anchors that do not fit the boxes of the training data are replaced before training.

    check: whether they are looked at, and replaced if others fit better.
    min_recall: least share of the boxes that some anchor must fit.
    """

    check: bool = True
    min_recall: float = 0.98

    def __post_init__(self) -> None:
        require_range(self, "min_recall", least=0, most=1)


@dataclass(frozen=True)
class SeeingOptions:
    """What is shown to people of a picture.

    nms: which boxes are shown.
    tile: side in pixels of the windows in which larger pictures are looked at; empty: as task.tiles says, which then
        also says the next two.
    overlap: share of a window that its neighbour sees too; an object smaller than that is whole in one of them.
    whole: whether a picture that is looked at in windows is also looked at whole, for larger objects.
    """

    nms: DisplayNmsOptions = field(default_factory=DisplayNmsOptions)
    tile: int | None = None
    overlap: float = 0.2
    whole: bool = False

    def __post_init__(self) -> None:
        require_range(self, "tile", least=32)
        require_range(self, "overlap", least=0, below=1)

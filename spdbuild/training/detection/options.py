"""Sections below `task:` of a recipe for a detector."""

from __future__ import annotations

from dataclasses import dataclass, field

from spdbuild.boxes.size_bins import COCO_SIZES, SizeBin
from spdbuild.declaring.ranges import require_range
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import ArgumentError
from spdbuild.metrics.detection import Backend, EvaluationOptions
from spdbuild.metrics.nms import DisplayNmsOptions, NmsOptions


@dataclass(frozen=True)
class JudgingOptions:
    """How a detector is evaluated; the defaults are those of the published COCO evaluation but for batch and precision.

    It has test_batch: 1, so that each image has its own rectangle, and precision: fp16. The published training
    evaluates its epochs with max_iou: 0.6 and twice as many images a batch as it trains on.

    rectangular: whether batches have images of similar aspect ratio, at the smallest size that holds them.
    pad: what is added to each side of a rectangular batch before it is rounded up, in multiples of 32 pixels.
    nms: which boxes count as detections.
    sizes: changes to the bins of objects by the square root of their area, in pixels of the image as it is in its
        file. COCO's are {S: [0, 32], M: [32, 96], L: [96, 100000]}: {tiny: [0, 16]} adds one, {S: [0, 10]} changes
        one, and {L: null} removes one. Both limits belong to a bin, as in COCO's evaluation: an object on the border
        of two bins counts in both.
    max_detections: detections of each class in an image that count, the best first, as in COCO's evaluation.
    class_agnostic: whether a detection may have any class, as if there were only one; NMS stays within classes unless
        nms.class_agnostic is set, too.
    backend: the library that matches; faster-coco-eval, an extra, gives the same numbers faster, but not the results
        by image, which intervals over images are computed from.
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

    check: whether anchors are checked, and replaced if others fit better.
    min_recall: least share of the boxes that some anchor must fit.
    """

    check: bool = True
    min_recall: float = 0.98

    def __post_init__(self) -> None:
        require_range(self, "min_recall", least=0, most=1)


@dataclass(frozen=True)
class SeeingOptions:
    """How a picture is looked at, and which of its boxes are shown to people.

    nms: which boxes are shown.
    classes: names of the classes whose boxes are shown to people; if empty, all.
    tile: side in pixels of the tiles in which larger pictures are looked at; if empty, task.tiles decides on this and
        on the next two.
    overlap: share of a tile that its neighbour covers too; an object smaller than that is whole in one of them.
    whole: whether a picture that is looked at in tiles is also looked at whole, for larger objects.
    """

    nms: DisplayNmsOptions = field(default_factory=DisplayNmsOptions)
    classes: tuple[str, ...] = ()
    tile: int | None = None
    overlap: float = 0.2
    whole: bool = False

    def __post_init__(self) -> None:
        require_range(self, "tile", least=32)
        require_range(self, "overlap", least=0, below=1)

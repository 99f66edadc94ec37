"""Heads that predict boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from spdbuild.declaring.arguments import fit
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError, ShapeError
from spdbuild.ops.op import MAX_ARGUMENT, OPS, Example, Family, Op
from spdbuild.shape import Shape
from spdbuild.wording.phrases import number

if TYPE_CHECKING:
    from torch import nn

#: [level][anchor] -> (width, height).
Anchors = tuple[tuple[tuple[int | float, int | float], ...], ...]


@OPS.register
@dataclass(frozen=True)
class Detect(Op):
    """Predict boxes in each cell of several levels, relative to anchors.

    One input per level: (N, C, ny, nx), finest first. One output per level: (N, A, ny, nx, 5 + classes) raw predictions
    for A anchors: x, y, width, height, objectness and one for each class.

    classes: number of classes.
    anchors: for each level a list of [width, height], in pixels of the input image; a list of levels, or a mapping from
        their names, in the order of the inputs.
    strides: pixels of the input image per cell of each level; by default 8, 16, 32 and so on, doubling. A network whose
        feature maps have other sizes is refused.

    Source: Redmon and Farhadi 2018, "YOLOv3", arXiv:1804.02767, section 2; boxes and biases as in YOLOv5 v6.0 (Jocher
    et al. 2021).
    """

    family: ClassVar[Family] = "detection"
    weights: ClassVar[bool] = True
    arity: ClassVar[tuple[int, int | None]] = (1, None)

    classes: int
    anchors: Anchors | Mapping[str, Any]
    strides: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.anchors, Mapping):
            object.__setattr__(self, "anchors", fit(list(self.anchors.values()), Anchors, "anchors"))
        require_range(self, "classes", "strides", least=1, most=MAX_ARGUMENT)
        counts = sorted({len(level) for level in self.levels})
        if len(counts) != 1 or counts[0] == 0:
            raise ArgumentError(
                f"each level must have the same number of anchors, got {_listed(counts) or 'none'}", argument="anchors"
            )
        if any(side <= 0 for level in self.levels for anchor in level for side in anchor):
            raise ArgumentError("anchors must have a width and a height greater than 0", argument="anchors")
        if self.strides is not None and len(self.strides) != len(self.levels):
            raise ArgumentError(
                f"strides must have one entry per level of anchors, got {len(self.strides)} for {len(self.levels)}",
                argument="strides",
            )

    @property
    def levels(self) -> Anchors:
        """The anchors, level by level."""
        assert not isinstance(self.anchors, Mapping)
        return self.anchors

    def pixel_strides(self) -> tuple[int, ...]:
        """Pixels of the input image per cell of each level."""
        return self.strides or tuple(8 * 2**level for level in range(len(self.levels)))

    def shape(self, *inputs: Shape) -> tuple[Shape, ...]:
        if len(inputs) != len(self.levels):
            levels, given = number(len(self.levels), "level"), number(len(inputs), "input")
            raise ShapeError(f"detect has anchors for {levels}, got {given}")
        self._check_sizes(inputs)
        anchors = len(self.levels[0])
        return tuple(Shape(anchors, x.height, x.width, 5 + self.classes) for x in inputs)

    def _check_sizes(self, inputs: tuple[Shape, ...]) -> None:
        """Refuse levels that cannot belong to one image: cells times stride must be its size, to within one cell."""
        strides = self.pixel_strides()
        for axis in (1, 2):
            least = max((x[axis] - 1) * stride for x, stride in zip(inputs, strides, strict=True))
            most = min((x[axis] + 1) * stride for x, stride in zip(inputs, strides, strict=True))
            if least >= most:
                raise ShapeError(
                    f"detect: levels of strides {_listed(strides)} cannot have the sizes "
                    + _listed([f"{x.height}x{x.width}" for x in inputs]),
                    hint="name the inputs from the finest level to the coarsest, or give strides=[...]",
                )

    def check_image(self, image: Shape, *inputs: Shape) -> None:
        for x, stride in zip(inputs, self.pixel_strides(), strict=True):
            wanted = [(side / stride, cells) for side, cells in ((image.height, x.height), (image.width, x.width))]
            # Borders without padding take some cells away, but not as many as another stride would.
            if any(abs(exact - cells) >= 1 and not 2 / 3 < exact / cells < 1.5 for exact, cells in wanted):
                raise self._misfit(image, inputs)

    def _misfit(self, image: Shape, inputs: tuple[Shape, ...]) -> ShapeError:
        maps, strides = _listed([f"{x.height}x{x.width}" for x in inputs]), _listed(self.pixel_strides())
        return ShapeError(
            f"detect: maps of {maps} do not fit an image of {image.height}x{image.width} at strides of {strides}",
            hint=f"strides=[{', '.join(str(round(image.height / x.height)) for x in inputs)}]",
        )

    def parameters(self, *inputs: Shape) -> int:
        return sum(self._depth() * (x.channels + 1) for x in inputs)

    def macs(self, *inputs: Shape) -> int:
        return sum(self._depth() * x.channels * x.pixels for x in inputs)

    def _depth(self) -> int:
        return len(self.levels[0]) * (5 + self.classes)

    def module(self, *inputs: Shape) -> nn.Module:
        from spdbuild.nn.detection import Detect

        return Detect([x.channels for x in inputs], self.classes, self.levels, self.pixel_strides())

    @classmethod
    def example(cls) -> Example:
        anchors = (((10, 13), (16, 30)), ((30, 61), (62, 45)))
        inputs = [Shape(8, 8, 10), Shape(16, 4, 5)]
        return Example(cls(3, anchors), inputs, (Shape(2, 8, 10, 8), Shape(2, 4, 5, 8)))


def _listed(items: Any) -> str:
    return " and ".join(map(str, items))

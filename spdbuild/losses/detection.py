"""The loss of an anchor-based detection head: boxes, objectness and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from spdbuild.boxes.boxes import paired_ciou_cxcywh
from spdbuild.declaring.ranges import require_range
from spdbuild.errors import ArgumentError
from spdbuild.losses.assignment import Assignment, assign
from spdbuild.losses.loss import LOSSES, Loss
from spdbuild.nn.detection import BOX_AND_OBJECT


@LOSSES.register
@dataclass(frozen=True)
class DetectionLossOptions(Loss):
    """Parameters of the loss; the defaults are those of YOLOv5 for 3 levels, 80 classes and 640 pixels.

    box_gain, objectness_gain, class_gain: factors of the three parts.
    class_positive_weight, objectness_positive_weight: factors of the positive terms of the two cross entropies.
    label_smoothing: class targets are 1 - label_smoothing / 2 and label_smoothing / 2.
    focal_gamma: exponent of the focal loss on both cross entropies; 0 is plain cross entropy.
    anchor_ratio: a box is assigned to the anchors with sides less than this many times longer or shorter.
    iou_share: how much of a matched cell's objectness target is its CIoU; the rest is 1.
    balance: factor of each level's objectness, from the finest level on; by default the published ones.
    """

    name: ClassVar[str] = "detection"
    task: ClassVar[str] = "detection"

    box_gain: float = 0.05
    objectness_gain: float = 1.0
    class_gain: float = 0.5
    class_positive_weight: float = 1.0
    objectness_positive_weight: float = 1.0
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    anchor_ratio: float = 4.0
    iou_share: float = 1.0
    balance: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        require_range(self, "box_gain", "objectness_gain", "class_gain", "focal_gamma", "balance", least=0)
        require_range(self, "class_positive_weight", "objectness_positive_weight", least=0)
        require_range(self, "label_smoothing", least=0, below=1)
        require_range(self, "anchor_ratio", above=1)
        require_range(self, "iou_share", least=0, most=1)

    def scaled(self, levels: int, classes: int, image_size: int) -> DetectionLossOptions:
        """The options with equivalent gains for another number of levels or classes, or image size (pixels)."""
        share = 3 / levels
        return replace(
            self,
            box_gain=self.box_gain * share,
            objectness_gain=self.objectness_gain * share * (image_size / 640) ** 2,
            class_gain=self.class_gain * share * classes / 80,
        )

    def level_balance(self, levels: int) -> tuple[float, ...]:
        """The objectness factor of each of `levels` levels, or an ArgumentError if there are fewer factors."""
        balance = self.balance or ((4.0, 1.0, 0.4) if levels == 3 else (4.0, 1.0, 0.25, 0.06, 0.02))
        if len(balance) < levels:
            raise ArgumentError(
                f"balance has {len(balance)} factors for a head of {levels} levels: {', '.join(map(str, balance))}",
                argument="balance",
                hint=f"give {levels} factors, the finest level first",
            )
        return balance[:levels]


class DetectionLossParts(NamedTuple):
    """Scalars; `total` carries the gradient, the three parts, times their gains, are for reports.

    total = (box + objectness + classification) * images in the batch.
    """

    total: Tensor
    box: Tensor
    objectness: Tensor
    classification: Tensor


class DetectionLoss:
    """Loss of the raw maps of a detection head.

    anchors: [L, A, 2], or a sequence of L tensors [A, 2]: widths and heights in grid cells of their level.
    classes: K; with a single class, the part of the classes is left out.

    Half-precision maps are converted to float32; all others keep their type.

    Source: Jocher et al., YOLOv5 v6.0, doi:10.5281/zenodo.5563715; focal loss of Lin et al. 2017, arXiv:1708.02002.
    """

    def __init__(
        self, anchors: Tensor | Sequence[Tensor], classes: int, options: DetectionLossOptions | None = None
    ) -> None:
        self.anchors, self.classes = anchors, classes
        self.options = options or DetectionLossOptions()
        self._balance = self.options.level_balance(len(anchors))

    def __call__(self, maps: Sequence[Tensor], targets: Tensor) -> DetectionLossParts:
        """Compare a head's output with the labels.

        maps: per level [N, A, rows, columns, 5 + K], logits in the order x, y, width, height, objectness, classes.
        targets: [B, 6], rows (image, class, centre x, centre y, width, height), sizes as fractions of the image.
        """
        levels = [self._level(*level, targets) for level in zip(maps, self.anchors, self._balance, strict=True)]
        box, objectness, classification = (torch.stack(part).sum() for part in zip(*levels, strict=True))
        options = self.options
        parts = torch.stack(
            (box * options.box_gain, objectness * options.objectness_gain, classification * options.class_gain)
        )
        return DetectionLossParts(parts.sum() * len(maps[0]), *parts.detach().unbind())

    def _level(self, level: Tensor, anchors: Tensor, balance: float, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three parts of one level, without gains."""
        dtype = torch.promote_types(level.dtype, torch.float32)
        matches = assign(targets, anchors, level.shape[2], level.shape[3], self.options.anchor_ratio)
        box = classification = torch.zeros((), dtype=dtype, device=level.device)
        wanted = torch.zeros(level.shape[:4], dtype=dtype, device=level.device)
        if len(matches):
            predicted = level[matches.image, matches.anchor, matches.row, matches.column].to(dtype)  # [M, 5 + K]
            ciou = _ciou(predicted, matches)
            box = (1 - ciou).mean()
            _write_objectness(wanted, matches, self._objectness_target(ciou.detach()))
            if self.classes > 1:
                classification = self._class_loss(predicted[:, BOX_AND_OBJECT:], matches.label)
        logits, weight = level[..., BOX_AND_OBJECT - 1].to(dtype), self.options.objectness_positive_weight
        return box, balance * self._cross_entropy(logits, wanted, weight), classification

    def _objectness_target(self, ciou: Tensor) -> Tensor:
        return (1 - self.options.iou_share) + self.options.iou_share * ciou.clamp(min=0)

    def _class_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[M, K] logits and M class indices -> scalar."""
        low = self.options.label_smoothing / 2
        wanted = torch.full_like(logits, low).scatter_(1, labels[:, None], 1 - low)
        return self._cross_entropy(logits, wanted, self.options.class_positive_weight)

    def _cross_entropy(self, logits: Tensor, wanted: Tensor, positive_weight: float) -> Tensor:
        """Mean binary cross entropy of logits, with the factor of the focal loss if `focal_gamma` is set."""
        weight = None if positive_weight == 1 else logits.new_tensor(positive_weight)
        gamma = self.options.focal_gamma
        if gamma == 0:
            return functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight)
        loss = functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight, reduction="none")
        return (loss * _focus(logits.sigmoid(), wanted, gamma)).mean()


def _ciou(predicted: Tensor, matches: Assignment) -> Tensor:
    """CIoU of M predictions [M, 5 + K] with their targets -> [M]."""
    squashed = predicted[:, :4].sigmoid()
    centres = squashed[:, :2] * 2 - 0.5
    sizes = (squashed[:, 2:] * 2).square() * matches.anchor_sizes.to(squashed.dtype)
    return paired_ciou_cxcywh(torch.cat((centres, sizes), dim=1), matches.boxes_cxcywh.to(squashed.dtype))


def _write_objectness(wanted: Tensor, matches: Assignment, values: Tensor) -> None:
    """Write M values into the map [N, A, rows, columns]; of several for one cell, the last one counts.

    Every write to a cell carries the last match's value, so the order in which a device writes does not matter.
    """
    _, anchors, rows, columns = wanted.shape
    cell = ((matches.image * anchors + matches.anchor) * rows + matches.row) * columns + matches.column
    order = torch.arange(len(cell), device=cell.device)
    last = cell.new_zeros(wanted.numel()).scatter_reduce_(0, cell, order, "amax")
    wanted.view(-1)[cell] = values[last[cell]]


#: The share of what is wanted in the focal loss; the rest is that of what is not wanted.
_ALPHA = 0.25


def _focus(probability: Tensor, wanted: Tensor, gamma: float) -> Tensor:
    """The factor of the focal loss for soft targets."""
    right = wanted * probability + (1 - wanted) * (1 - probability)
    return (wanted * _ALPHA + (1 - wanted) * (1 - _ALPHA)) * (1 - right) ** gamma

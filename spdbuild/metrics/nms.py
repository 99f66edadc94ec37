"""From a detection head's decoded rows to detections: thresholds and non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spdbuild.boxes.boxes import cxcywh_to_xyxy
from spdbuild.declaring.ranges import require_range
from spdbuild.nn.detection import BOX_AND_OBJECT

#: Pixels by which the boxes of one class are moved away from those of the one before it, unless they lie further apart.
#: From the published code: float32 rounds moved boxes, so that another number could suppress others at the IoU limit.
CLASS_OFFSET = 4096


@dataclass(frozen=True, slots=True)
class NmsOptions:
    """Parameters of the selection; the defaults are those of the published COCO evaluation.

    min_score: objectness, and objectness times class probability, must exceed it.
    max_iou: of two boxes that overlap more, the one with the lower score is dropped.
    multi_label: a row gives a box for every class above min_score, instead of for its best class alone.
    class_agnostic: boxes of different classes suppress each other too.
    max_detections: boxes kept per image, or per tile of an image that is cut into tiles.
    max_candidates: boxes per image or tile that take part, the best first.
    """

    min_score: float = 0.001
    max_iou: float = 0.65
    multi_label: bool = True
    class_agnostic: bool = False
    max_detections: int = 300
    max_candidates: int = 30_000

    def __post_init__(self) -> None:
        require_range(self, "min_score", "max_iou", least=0, most=1)
        require_range(self, "max_detections", "max_candidates", least=1)


@dataclass(frozen=True, slots=True)
class DisplayNmsOptions(NmsOptions):
    """Parameters of the selection for what is shown to people: few boxes, one class each; the published defaults."""

    min_score: float = 0.25
    max_iou: float = 0.45
    multi_label: bool = False
    max_detections: int = 1000


def select_detections(decoded: Tensor, options: NmsOptions | None = None) -> list[Tensor]:
    """The detections of each image [D, 6], rows (left, top, right, bottom, score, class), best score first.

    decoded: [N, R, 5 + K], rows (centre x, centre y, width, height, objectness, class probabilities); boxes in pixels.

    The result depends only on the arguments: no time limit ends the search.
    """
    options = options or NmsOptions()
    return [_select(rows, options) for rows in decoded]


def _select(rows: Tensor, options: NmsOptions) -> Tensor:
    rows = rows[rows[:, BOX_AND_OBJECT - 1] > options.min_score]
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    boxes, scores, labels = candidates(rows, options)
    best = torch.cat((boxes, scores[:, None], labels[:, None].to(scores)), dim=1)
    if not options.class_agnostic:
        boxes = _apart(best)
    return best[_kept(boxes, scores, options)]


def candidates(rows: Tensor, options: NmsOptions) -> tuple[Tensor, Tensor, Tensor]:
    """What takes part of an image, best score first: boxes [B, 4] (left, top, right, bottom), scores, labels [B].

    rows: decoded, [R, 5 + K].
    """
    scores = rows[:, BOX_AND_OBJECT:] * rows[:, BOX_AND_OBJECT - 1, None]  # [R, K]
    if options.multi_label:
        row, label = (scores > options.min_score).nonzero(as_tuple=True)
        score = scores[row, label]
    else:
        highest, label = scores.max(dim=1)
        row = (highest > options.min_score).nonzero()[:, 0]
        score, label = highest[row], label[row]
    best = score.argsort(descending=True, stable=True)[: options.max_candidates]
    return cxcywh_to_xyxy(rows[row[best], :4]), score[best], label[best]


def _apart(detections: Tensor) -> Tensor:
    """The boxes of detections [B, 6], moved so that no two classes overlap: one pass then suppresses within classes."""
    boxes = detections[:, :4]
    if not len(boxes):
        return boxes
    low, high = boxes.aminmax()
    return boxes + detections[:, 5:] * (high - low + 1).clamp(min=CLASS_OFFSET)


def _kept(boxes_xyxy: Tensor, scores: Tensor, options: NmsOptions) -> Tensor:
    """Indices of the first `max_detections` boxes of [B, 4] that are kept, best score first.

    Only better boxes suppress a box, and the cost is quadratic, so a few of the best are tried before more.
    """
    from torchvision.ops import nms

    count = 4 * options.max_detections
    while True:
        kept: Tensor = nms(boxes_xyxy[:count], scores[:count], options.max_iou)[: options.max_detections]
        if len(kept) == options.max_detections or count >= len(scores):
            return kept
        count *= 4

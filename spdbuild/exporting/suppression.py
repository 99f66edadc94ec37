"""Suppression of overlapping boxes as a part of an exported file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import nms

from spdbuild.boxes.boxes import cxcywh_to_xyxy
from spdbuild.errors import ArgumentError, RunError, nearest
from spdbuild.exporting.calls import Calls
from spdbuild.exporting.formats import Runner
from spdbuild.metrics.nms import CLASS_OFFSET, DisplayNmsOptions, NmsOptions, select_detections
from spdbuild.nn.detection import BOX_AND_OBJECT
from spdbuild.training.tasks.detection import Detection
from spdbuild.training.trained.stored_graph import StoredGraph

#: The outputs of a detector that suppresses overlapping boxes.
SUPPRESSED = COUNT, BOXES, SCORES, LABELS = "num_detections", "boxes", "scores", "labels"
#: The label where there is no box.
NO_LABEL = -1
#: Lengths of 0 and 1 would be taken for ones that never change. Boxes without an area suppress none, and stay.
_SENTINELS = 2
#: Scores of an image on which a file is compared.
_SCORES = 2000


def nms_options(
    network: StoredGraph, head: str | None, calls: Calls, nms: bool | Mapping[str, Any]
) -> NmsOptions | None:
    """Which boxes a file keeps; None if it keeps all. ArgumentError where there are none, or of no one length.

    head: the name of the one whose maps are decoded. nms: True for those that the run's predictions show, or what
        differs from their options.
    """
    if nms is False:
        return None
    if head is None:
        message = f"{network.graph.name} gives no boxes here, so none are suppressed"
        raise ArgumentError(message, argument="nms", hint="leave nms out, or raw")
    if calls.axes:
        message = f"with nms a call has one {' and one '.join(calls.axes.values())}, got any"
        raise ArgumentError(message, argument="nms", hint="give the number of images as batch, and leave any_size out")
    task = network.recipe.task if network.recipe else None
    options = task.seeing.nms if isinstance(task, Detection) else DisplayNmsOptions()
    if nms is True:
        return options
    known = [field.name for field in fields(options)]
    for name in nms:
        if name not in known:
            raise ArgumentError(f"nms has no option '{name}'", argument="nms", hint=nearest(name, known))
    return replace(options, **nms)


def suppressed_shapes(options: NmsOptions) -> dict[str, tuple[int | None, ...]]:
    """The shape of each output without the batch, by name."""
    length = options.max_detections
    return dict(zip(SUPPRESSED, ((), (length, 4), (length,), (length,)), strict=True))


class Suppression(nn.Module):
    """What `select_detections` does, with outputs of one length, as programs need them.

    Input: decoded boxes [N, R, 5 + K]. Outputs, the best boxes first: num_detections int64 [N]; boxes [N, D, 4], left,
    top, right and bottom; scores [N, D]; labels int64 [N, D]. D is `max_detections`; behind the last box of an image
    are zeros, and the label -1.
    """

    def __init__(self, options: NmsOptions) -> None:
        super().__init__()
        self.options = options

    def forward(self, decoded: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count, boxes, scores, labels = zip(*map(self._select, decoded.unbind()), strict=True)
        return torch.stack(count), torch.stack(boxes), torch.stack(scores), torch.stack(labels)

    def _select(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        options = self.options
        scores = rows[:, BOX_AND_OBJECT:] * rows[:, BOX_AND_OBJECT - 1, None]  # [R, K]
        classes = scores.shape[1]
        if options.multi_label:
            scores, cell = _best_first(scores.flatten(), options.max_candidates)
            row, labels = cell // classes, cell % classes
        else:
            scores, labels = scores.max(dim=1)
            scores, row = _best_first(scores, options.max_candidates)
            labels = labels[row]
        boxes = cxcywh_to_xyxy(rows[row, :4])
        kept = self._kept(boxes, scores, labels)
        length = min(options.max_detections, len(scores))
        # Those that are kept come first, in their order.
        first = (kept * torch.arange(len(scores), 0, -1, device=rows.device)).topk(length).indices
        real = kept[first] > 0
        pad = options.max_detections - length
        found = (
            torch.where(real[:, None], boxes[first], 0.0),
            torch.where(real, scores[first], 0.0),
            torch.where(real, labels[first], NO_LABEL),
        )
        boxes, scores = (nn.functional.pad(part, (0, 0) * (part.ndim - 1) + (0, pad)) for part in found[:2])
        return real.sum(), boxes, scores, nn.functional.pad(found[2], (0, pad), value=NO_LABEL)

    def _kept(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """1.0 for each candidate that is kept, else 0.0; scores: the greatest first."""
        good = scores > self.options.min_score
        if not self.options.class_agnostic:
            greatest = torch.finfo(boxes.dtype).max
            low = torch.where(good[:, None], boxes, greatest).amin(dim=(0, 1))
            high = torch.where(good[:, None], boxes, -greatest).amax(dim=(0, 1))
            boxes = boxes + labels[:, None].to(boxes) * (high - low + 1).clamp(min=CLASS_OFFSET)
        boxes, scores, good = (
            torch.cat((part, part.new_full((_SENTINELS, *part.shape[1:]), fill)))
            for part, fill in ((boxes, 0), (scores, 0), (good, True))
        )
        places = good.nonzero()[:, 0]
        found = places[nms(boxes[places], scores[places], self.options.max_iou)]
        return torch.zeros_like(scores).scatter(0, found, 1.0)[:-_SENTINELS]


def _best_first(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The greatest of some scores [S], and their positions."""
    # A stable order, which only equal scores would need, has no op in ONNX.
    found, order = scores.sort(descending=True)
    return found[:most], order[:most]


class Suppressing(nn.Module):
    """A detector whose decoded boxes are suppressed."""

    def __init__(self, detector: nn.Module, suppression: Suppression) -> None:
        super().__init__()
        self.detector, self.suppression = detector, suppression

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.suppression(self.detector(images))
        return found


def crowded(shape: tuple[int, ...], options: NmsOptions) -> Tensor:
    """Decoded boxes [N, R, 5 + K], many of which overlap, with scores around the least; no two scores are equal.

    Only so many have scores that a search which is quadratic in their number does not take long, and that hardly an
    overlap equals the limit but for rounding.
    """
    generator = torch.Generator().manual_seed(0)
    images, rows, columns = shape
    # Of a side at which some boxes overlap by more, and some by less, however many there are.
    scored = min(rows, max(_SCORES // (columns - BOX_AND_OBJECT), 20))
    side = 25 * scored**0.5
    boxes = torch.rand(images, rows, 4, generator=generator) * torch.tensor([side, side, 120, 120]) + 1
    decoded = torch.cat((boxes, torch.zeros(images, rows, columns - 4)), dim=2)
    # A power of two, so that products are as different as their factors.
    objectness = 0.5 if options.min_score < 0.4 else 1.0
    lowest = 0.9 * options.min_score / objectness
    for image in decoded:
        chosen = torch.randperm(rows, generator=generator)[:scored]
        ranks = torch.randperm(len(chosen) * (columns - BOX_AND_OBJECT), generator=generator).view(len(chosen), -1)
        image[chosen, BOX_AND_OBJECT - 1] = objectness
        image[chosen, BOX_AND_OBJECT:] = lowest + (1 - lowest) * (ranks + 1) / (ranks.numel() + 1)
    return decoded


def require_same_selection(file: Runner, decoded: Tensor, options: NmsOptions, where: str) -> None:
    """Raise RunError unless a file selects of decoded boxes [N, R, 5 + K] exactly what spdbuild does."""
    counts, boxes, scores, labels = file([decoded])
    for image, expected in enumerate(select_detections(decoded, options)):
        count = int(counts[image])
        parts = (boxes[image, :count], scores[image, :count, None], labels[image, :count, None].to(expected))
        if not torch.equal(torch.cat(parts, dim=1), expected):
            raise RunError(
                f"{where} was not written: of overlapping boxes it keeps others than spdbuild does",
                hint="leave nms out, and suppress them behind the file",
            )


def require_own_boxes(found: Sequence[Tensor], decoded: Tensor, options: NmsOptions, tolerance: float) -> None:
    """Raise RunError unless all boxes that a file keeps are among those that it decodes, [N, R, 5 + K].

    Which of them it keeps is not compared: where scores are equal but for rounding, so that it can be others.
    tolerance: greatest difference of a score, and of a coordinate in shares of the greatest one.
    """
    boxes = cxcywh_to_xyxy(decoded[..., :4])
    scores = decoded[..., BOX_AND_OBJECT:] * decoded[..., BOX_AND_OBJECT - 1, None]
    scale = max(float(boxes.abs().max()), 1.0)
    for image, count in enumerate(found[0].tolist()):
        _, kept, kept_scores, labels = (output[image, :count] if output.ndim > 1 else output for output in found)
        wrong = count == 0 and float(scores[image].max()) > options.min_score + tolerance
        for label in {*labels.tolist()}:
            own = torch.cat((kept / scale, kept_scores[:, None]), dim=1)[labels == label]
            given = torch.cat((boxes[image] / scale, scores[image, :, label, None]), dim=1)
            wrong = wrong or bool((torch.cdist(own, given, p=float("inf")).amin(dim=1) > tolerance).any())
        if wrong:
            raise RunError("the file keeps other boxes than it decodes", hint="leave nms out")

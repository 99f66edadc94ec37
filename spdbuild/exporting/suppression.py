"""Suppression of overlapping boxes as a part of an exported file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import nms

from spdbuild.errors import ArgumentError, nearest
from spdbuild.exporting.network import head_of_graph
from spdbuild.metrics.nms import CLASS_OFFSET, DisplayNmsOptions, NmsOptions, candidates
from spdbuild.training.tasks.detection import Detection
from spdbuild.training.trained.stored_graph import StoredGraph

#: The outputs of a detector that suppresses overlapping boxes.
SUPPRESSED = COUNT, BOXES, SCORES, LABELS = "num_detections", "boxes", "scores", "labels"
#: The label where there is no box.
NO_LABEL = -1
#: Boxes without an area: torchvision says of its op that it gives 2 boxes at least.
_EMPTY = 2


def nms_options(network: StoredGraph, raw: bool, nms: bool | Mapping[str, Any]) -> NmsOptions | None:
    """Which boxes a file keeps; None if it keeps all. ArgumentError where there are none.

    nms: True for those that the run's predictions show, or what differs from their options.
    """
    if nms is False:
        return None
    if head_of_graph(network.graph) is None:
        message = f"{network.graph.name} is no detector, so it has no boxes to suppress"
        raise ArgumentError(message, argument="nms", hint="leave nms out")
    if raw:
        message = "raw maps are not decoded, so there are no boxes to suppress"
        raise ArgumentError(message, argument="nms", hint="leave nms or raw out")
    task = network.recipe.task if network.recipe else None
    options = task.seeing.nms if isinstance(task, Detection) else DisplayNmsOptions()
    if nms is True:
        return options
    if not isinstance(nms, Mapping):
        raise ArgumentError(f"nms must be true, false, or options by name, got {nms!r}", argument="nms")
    known = asdict(options)
    for name, value in nms.items():
        if name not in known:
            raise ArgumentError(f"nms has no option '{name}'", argument="nms", hint=nearest(name, known))
        _check_kind(name, value, type(known[name]))
    return replace(options, **nms)


def _check_kind(name: str, value: object, kind: type) -> None:
    kinds = {bool: "true or false", int: "a whole number", float: "a number"}
    if type(value) is not kind and (kind is not float or type(value) is not int):
        raise ArgumentError(f"{name} must be {kinds[kind]}, got {value!r}", argument="nms")


def suppressed_shapes(options: NmsOptions) -> dict[str, tuple[int | None, ...]]:
    """The shape of each output without the batch, by name."""
    length = options.max_detections
    return dict(zip(SUPPRESSED, ((), (length, 4), (length,), (length,)), strict=True))


class Suppression(nn.Module):
    """What `select_detections` does, with outputs of one length, as programs need them.

    Input: decoded boxes [N, R, 5 + K]. Outputs, the best boxes first: num_detections int64 [N]; boxes [N, D, 4], left,
    top, right and bottom; scores [N, D]; labels int64 [N, D]. D is `max_detections`; behind the last box of an image
    are zeros, and the label -1.

    loop: whether a program goes from image to image in a loop, as it must for any number of them. Otherwise it has the
        ops of each, because some runtimes take no loop.
    """

    def __init__(self, options: NmsOptions, loop: bool) -> None:
        super().__init__()
        self.options, self.loop = options, loop

    def forward(self, decoded: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        if self.loop:
            # Not torch's function of this name, which compiles: it takes lengths of earlier calls for fixed ones.
            count, boxes, scores, labels = torch.ops.higher_order.scan(
                lambda rows: self._select(rows), [], [decoded], ()
            )
        else:
            found = zip(*map(self._select, decoded.unbind()), strict=True)
            count, boxes, scores, labels = map(torch.stack, found)
        return count, boxes, scores, labels

    def _select(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        options = self.options
        # Boxes without an area suppress none and are the last to stay. They come first, so that there always are some.
        boxes, scores, labels = (
            torch.cat((part.new_full((_EMPTY, *part.shape[1:]), fill), part))
            for part, fill in zip(candidates(rows, options), (0, 0, NO_LABEL), strict=True)
        )
        kept = nms(boxes if options.class_agnostic else _apart(boxes, labels), scores, options.max_iou)
        torch._check(kept.shape[0] >= _EMPTY)
        kept = nn.functional.pad(kept, (0, options.max_detections))[: options.max_detections]
        return (kept >= _EMPTY).sum(), boxes[kept], scores[kept], labels[kept]


def _apart(boxes: Tensor, labels: Tensor) -> Tensor:
    """Boxes [B, 4], moved as `select_detections` moves them, so that those of different labels do not overlap."""
    none = labels[:, None] == NO_LABEL
    low, high = boxes.masked_fill(none, inf).amin(dim=(0, 1)), boxes.masked_fill(none, -inf).amax(dim=(0, 1))
    return boxes + labels[:, None] * (high - low + 1).clamp(min=CLASS_OFFSET)


class Suppressing(nn.Module):
    """A detector whose decoded boxes are suppressed."""

    def __init__(self, detector: nn.Module, suppression: Suppression) -> None:
        super().__init__()
        self.detector, self.suppression = detector, suppression

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found: tuple[Tensor, Tensor, Tensor, Tensor] = self.suppression(self.detector(images))
        return found

"""The confusion matrix of a detector: objects by detections, with background as a further class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spdbuild.boxes.boxes import area_xyxy, intersection_xyxy, iou_xyxy


class Outcome(NamedTuple):
    """The outcome of one image.

    objects: how many there are: right, found as another class (confused), or missed.
    background: detections where there is no object.
    """

    objects: int
    right: int
    confused: int
    missed: int
    background: int

    @property
    def errors(self) -> int:
        return self.confused + self.missed + self.background


class DetectionConfusion:
    """Counts gathered image by image.

    matrix: [K + 1, K + 1] true class by detected class; the last row is background that was detected as an object,
        the last column objects that were not found; the last cell stays 0.
    min_score: detections below it are left out.
    min_iou: least IoU at which a detection matches an object, whatever the classes.
    """

    def __init__(self, classes: int, min_score: float = 0.25, min_iou: float = 0.45) -> None:
        self.matrix: NDArray[np.int64] = np.zeros((classes + 1, classes + 1), dtype=np.int64)
        self.min_score, self.min_iou = min_score, min_iou

    def update(self, detections: Tensor, boxes_xyxy: Tensor, labels: Tensor, crowd: Tensor | None = None) -> Outcome:
        """Count one image, and return its outcome.

        detections: [D, 6], rows (left, top, right, bottom, score, class index); of rows with the same box, one for each
            of its likely classes, that with the highest score counts.
        boxes_xyxy, labels, crowd: [B, 4], [B] class indices and [B] bool, the objects. A crowd region is no object, and
            a detection with more than half of its area on one of its class, or of the class -1, which stands for every
            class, does not count as background.
        """
        detections = _once_a_box(detections[detections[:, 4] >= self.min_score])
        on_crowd = torch.zeros(len(detections), dtype=torch.bool)
        if crowd is not None:
            on_crowd = covered(detections, boxes_xyxy[crowd], labels[crowd]).cpu()
            boxes_xyxy, labels = boxes_xyxy[~crowd], labels[~crowd]
        objects, found = _pairs(iou_xyxy(boxes_xyxy, detections[:, :4]).cpu().numpy(), self.min_iou)
        true, taken_for = labels.cpu().numpy().astype(int), detections[:, 5].cpu().numpy().astype(int)
        np.add.at(self.matrix, (true[objects], taken_for[found]), 1)
        free = np.setdiff1d(np.flatnonzero(~on_crowd.numpy()), found)
        classes = len(self.matrix) - 1
        self.matrix[:-1, -1] += np.bincount(np.delete(true, objects), minlength=classes)
        self.matrix[-1, :-1] += np.bincount(taken_for[free], minlength=classes)
        right = int((true[objects] == taken_for[found]).sum())
        return Outcome(len(true), right, len(objects) - right, len(true) - len(objects), len(free))


def _once_a_box(detections: Tensor) -> Tensor:
    """The detections [D, 6] without those that repeat a box under a less likely class."""
    best_first = detections[detections[:, 4].argsort(descending=True, stable=True)]
    _, first = np.unique(best_first[:, :4].cpu().numpy(), axis=0, return_index=True)
    return best_first[np.sort(first)]


def _pairs(iou: NDArray[np.float64], min_iou: float) -> tuple[list[int], list[int]]:
    """Pairs of objects and detections, one to one, the largest overlap first: indices into [B, D]."""
    objects, found = np.nonzero(iou >= min_iou)
    order = np.argsort(-iou[objects, found], kind="stable")
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for b, d in zip(objects[order].tolist(), found[order].tolist(), strict=True):
        if b not in pairs and d not in taken:
            pairs[b] = d
            taken.add(d)
    return list(pairs), list(pairs.values())


def covered(detections: Tensor, regions_xyxy: Tensor, labels: Tensor) -> Tensor:
    """Whether each detection has more than half of its area on one region of its class: bool [D].

    detections: [D, 6], rows (left, top, right, bottom, score, class index). regions_xyxy, labels: [R, 4] and [R], the
        regions; those of the class -1 are of every class.
    """
    boxes_xyxy = detections[:, :4]
    alike = (labels == -1) | (labels == detections[:, 5:])
    shared = intersection_xyxy(boxes_xyxy, regions_xyxy)
    return ((shared > 0.5 * area_xyxy(boxes_xyxy)[:, None]) & alike).any(dim=1)

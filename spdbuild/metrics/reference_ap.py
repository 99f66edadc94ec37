"""The average precision that the published training uses to choose its best checkpoint; reports use COCO's instead.

It differs from COCO's in three ways: detections are matched once, at IoU 0.5, and not anew for each threshold; the
precision over recall is integrated by the trapezoid rule, not averaged; and the curve falls to 0 at recall 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from spdbuild.boxes.boxes import iou_xyxy
from spdbuild.metrics.curves import Array, Flags, ScoreCurves, precision_and_recall, score_curves

THRESHOLDS = np.linspace(0.5, 0.95, 10)


@dataclass(frozen=True, slots=True, eq=False)
class ReferencePrecision:
    """Results by class, for the K classes that have objects.

    curves: over the score, at IoU 0.5.
    ap: [K, T] at IoU 0.50 to 0.95.
    """

    curves: ScoreCurves
    ap: Array

    def scalars(self) -> dict[str, float]:
        """The fitness, by which the best checkpoint is chosen, and precision, recall and F1 averaged over classes.

        The last three are those at the lowest score with the highest mean F1, `best_score`. As in the published code,
        the precision of a class whose detections all have lower scores counts as 1. Empty without any class.
        """
        if not len(self.ap):
            return {}
        at = self.curves.best
        return {
            "fitness": 0.1 * float(self.ap[:, 0].mean()) + 0.9 * float(self.ap.mean()),
            "precision": float(self.curves.precision[:, at].mean()),
            "recall": float(self.curves.recall[:, at].mean()),
            "F1": float(self.curves.f1[:, at].mean()),
            "best_score": float(self.curves.scores[at]),
        }

    def of_class(self, label: int) -> dict[str, float | None]:
        """Precision and recall of a class at `best_score`; None without objects, precision also without detections."""
        (rows,) = np.nonzero(self.curves.classes == label)
        if not len(rows):
            return {"precision": None, "recall": None}
        (row,), at = rows, self.curves.best
        found = self.curves.highest[row] >= self.curves.scores[at]
        precision = float(self.curves.precision[row, at]) if found else None
        return {"precision": precision, "recall": float(self.curves.recall[row, at])}


def correct_detections(detections: Tensor, boxes_xyxy: Tensor, labels: Tensor) -> Flags:
    """Whether each of D detections of one image hits an object, at each of the T thresholds: [D, T].

    detections: [D, 6], rows (left, top, right, bottom, score, class), best score first.
    boxes_xyxy, labels: [B, 4] and [B], the objects.

    A detection takes the object of its class that it overlaps most; if several take the same one, the first gets it.
    """
    same = labels[:, None] == detections[None, :, 5]
    iou = (iou_xyxy(boxes_xyxy, detections[:, :4]) * same).cpu().double().numpy()  # [B, D]
    correct = np.zeros((iou.shape[1], len(THRESHOLDS)), dtype=bool)
    if not iou.size:
        return correct
    best = iou.argmax(axis=0)  # [D]
    candidates = np.flatnonzero(iou.max(axis=0) >= THRESHOLDS[0])
    _, first = np.unique(best[candidates], return_index=True)
    taken = candidates[first]
    correct[taken] = iou[best[taken], taken, None] >= THRESHOLDS
    return correct


def average_precision(correct: Flags, scores: Array, predicted: Array, labels: Array) -> ReferencePrecision:
    """The metric of a whole data set.

    correct: [D, T]; scores, predicted: [D] scores and class indices of the detections; labels: [B] of the objects.
    """
    curves = score_curves(correct[:, 0], scores, predicted, labels)
    ap = np.zeros((len(curves.classes), correct.shape[1]))
    for k, label in enumerate(curves.classes):
        own = np.flatnonzero(predicted == label)
        order = own[np.argsort(-scores[own], kind="stable")]
        precision, recall = precision_and_recall(correct[order], int((labels == label).sum()))
        ap[k] = [_area(precision[:, t], recall[:, t]) for t in range(correct.shape[1])]
    return ReferencePrecision(curves, ap)


def _area(precision: Array, recall: Array) -> float:
    """Area below the falling envelope of one curve, from 101 points."""
    if not len(precision):
        return 0.0
    recall = np.concatenate(([0.0], recall, [1.0]))
    precision = np.concatenate(([1.0], precision, [0.0]))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    heights = np.interp(np.linspace(0, 1, 101), recall, envelope)
    return float((heights[1:] + heights[:-1]).mean() / 2)

"""Precision, recall and F1 of detections over the minimum score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: The number of minimum scores that a curve has a point for.
_SAMPLES = 1000


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCurves:
    """One curve per class over S minimum scores; a class without detections has zeros everywhere.

    classes: [K] indices of the classes that have objects.
    scores: [S] from 0 to 1.
    precision, recall: [K, S], linear between the scores of the detections; above the highest, 1 and 0.
    highest: [K] score of the best detection, -1 without any.
    """

    classes: NDArray[np.int64]
    scores: Array
    precision: Array
    recall: Array
    highest: Array

    @property
    def f1(self) -> Array:
        """[K, S] harmonic mean of precision and recall, 0 where both are."""
        total = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, total, out=np.zeros_like(total), where=total > 0)

    @property
    def mean_precision(self) -> Array:
        """[S] over the classes that have a detection of at least that score; NaN if none has one."""
        found = self.highest[:, None] >= self.scores
        total = np.where(found, self.precision, 0).sum(axis=0)
        mean: Array = np.full(len(self.scores), np.nan)
        np.divide(total, found.sum(axis=0), out=mean, where=found.any(axis=0))
        return mean

    @property
    def best(self) -> int:
        """Index of the score with the highest F1, averaged over the classes."""
        return int(self.f1.mean(axis=0).argmax()) if len(self.classes) else 0


def score_curves(correct: Flags, scores: Array, predicted: Array, labels: Array) -> ScoreCurves:
    """The curves of D detections of which those marked `correct` hit one of B objects.

    correct, scores, predicted: [D] whether right, score, class index; labels: [B] class indices of all objects.
    """
    classes, objects = np.unique(labels, return_counts=True)
    at = np.linspace(0, 1, _SAMPLES)
    precision, recall = np.zeros((2, len(classes), _SAMPLES))
    highest = np.full(len(classes), -1.0)
    for k, (label, count) in enumerate(zip(classes, objects, strict=True)):
        own = predicted == label
        if not own.any():
            continue
        order = np.argsort(-scores[own], kind="stable")
        p, r = precision_and_recall(correct[own][order], int(count))
        falling = -scores[own][order]
        highest[k] = -falling[0]
        precision[k] = np.interp(-at, falling, p, left=1)
        recall[k] = np.interp(-at, falling, r, left=0)
    return ScoreCurves(classes.astype(np.int64), at, precision, recall, highest)


def precision_and_recall(correct: Flags, objects: int) -> tuple[Array, Array]:
    """Both after each of the detections [D, ...], best score first, for `objects` objects of the class: [D, ...]."""
    hits = correct.cumsum(axis=0)
    taken = np.arange(1, len(correct) + 1).reshape(-1, *[1] * (correct.ndim - 1))
    return hits / taken, hits / objects

"""A classifier's answer for each image, and the metrics that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spdbuild.metrics.by_image.results import KINDS

#: How many of the highest logits are searched for the label.
TOP = 5


@KINDS.register
@dataclass(frozen=True, eq=False)
class Answers:
    """Answers of N images in the order of the data set.

    labels: int64 [N], classes of the images.
    predicted: int64 [N], outputs with the highest logit; a network may have more outputs than there are classes.
    places: int64 [N], the label's rank among the TOP highest logits, from 0; TOP if it is not among them.
    losses: float64 [N], cross-entropies.
    classes, outputs: how many there are.
    """

    name: ClassVar[str]

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    places: NDArray[np.int64]
    losses: NDArray[np.float64]
    classes: int
    outputs: int

    def __len__(self) -> int:
        return len(self.labels)

    def metrics(self, weights: NDArray[np.float64] | None = None) -> dict[str, float | None]:
        """top1, top5, the means of the classes' top1 and F1, and the mean cross-entropy; all 0 without images.

        The mean F1 is over the classes that some image has or is predicted to have.

        weights: [N], how often each image counts; once by default.
        """
        counts = np.ones(len(self)) if weights is None else weights
        total = counts.sum() or 1.0
        images, right = self._by_class(counts), self._by_class(counts * (self.places == 0))
        taken = np.bincount(self.predicted, weights=counts, minlength=self.classes)[: self.classes]
        seen, known = images > 0, images + taken > 0
        return {
            "top1": float(right.sum() / total),
            "top5": float((counts * (self.places < TOP)).sum() / total),
            "mean_class_top1": float((right[seen] / images[seen]).mean()) if seen.any() else 0.0,
            "mean_class_f1": float((2 * right[known] / (images + taken)[known]).mean()) if known.any() else 0.0,
            "loss": float((counts * self.losses).sum() / total),
        }

    def carriers(self, groups: NDArray[np.int64] | None = None) -> dict[str, int]:
        groups = np.arange(len(self)) if groups is None else groups
        whole = len(np.unique(groups))
        of_class = np.bincount(np.unique((self.labels, groups), axis=1)[0])
        rarest = int(of_class[of_class > 0].min(initial=whole))
        means = dict.fromkeys(("mean_class_top1", "mean_class_f1"), rarest)
        return {**dict.fromkeys(("top1", "top5", "loss"), whole), **means}

    def shares(self) -> dict[str, NDArray[np.bool_]]:
        """Whether the label is the answer, and whether it is among the TOP highest logits."""
        return {"top1": self.places == 0, "top5": self.places < TOP}

    def differing(self, other: Answers) -> dict[str, NDArray[np.bool_]]:
        """Images that only one network gets right; for the mean F1 those with different answers, for losses theirs."""
        theirs = other.shares()
        shares = {name: own != theirs[name] for name, own in self.shares().items()}
        means = {"mean_class_top1": shares["top1"], "mean_class_f1": self.predicted != other.predicted}
        return {**shares, **means, "loss": self.losses != other.losses}

    def confusion(self) -> NDArray[np.int64]:
        """[classes, outputs], how often images of each class were predicted as each output."""
        cells = np.bincount(self.labels * self.outputs + self.predicted, minlength=self.classes * self.outputs)
        return cells.reshape(self.classes, self.outputs)

    def rows(self) -> list[dict[str, float | None]]:
        """For each class: images, top1 (recall), top5, precision and F1; None where there is nothing to divide by.

        So a class without images has neither top1 nor top5, and one that no image is predicted to have no precision.
        """
        images = self._by_class(np.ones(len(self)))
        right, among = self._by_class(self.places == 0), self._by_class(self.places < TOP)
        taken = self.confusion().sum(axis=0)[: self.classes]
        shares = {
            "top1": (right, images),
            "top5": (among, images),
            "precision": (right, taken),
            "f1": (2 * right, images + taken),
        }
        return [
            {
                "images": int(images[i]),
                **{name: float(part[i] / whole[i]) if whole[i] else None for name, (part, whole) in shares.items()},
            }
            for i in range(self.classes)
        ]

    def worst_first(self) -> NDArray[np.int64]:
        """[N], positions of the images, the highest loss first."""
        # NaN is worse than any number.
        return np.argsort(-np.where(np.isnan(self.losses), np.inf, self.losses), kind="stable")

    def same_images(self, other: Answers) -> bool:
        """Whether the other answers are about images of the same classes in the same order."""
        return np.array_equal(self.labels, other.labels)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The answers in arrays of as few bytes as possible."""
        return {
            "labels": self.labels.astype(np.int32),
            "predicted": self.predicted.astype(np.int32),
            "places": self.places.astype(np.uint8),
            "losses": self.losses.astype(np.float32),
            "sizes": np.array([self.classes, self.outputs]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Answers:
        """Raises ValueError for arrays that do not fit together."""
        labels, predicted, places = (arrays[name].astype(np.int64) for name in ("labels", "predicted", "places"))
        classes, outputs = map(int, arrays["sizes"])
        if not {array.shape for array in (predicted, places, arrays["losses"])} == {(len(labels),)}:
            raise ValueError("the answers are not one for each image")
        for numbers, end in ((labels, classes), (predicted, outputs)):
            if len(numbers) and not 0 <= numbers.min() <= numbers.max() < end:
                raise ValueError(f"classes must be from 0 to {end - 1}")
        return cls(labels, predicted, places, arrays["losses"].astype(np.float64), classes, outputs)

    def _by_class(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """[classes], the sum of the values of each class's images."""
        return np.bincount(self.labels, weights=values, minlength=self.classes).astype(np.float64)

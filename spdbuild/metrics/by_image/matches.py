"""The outcome of each detection and each object by COCO's rules, and the metrics that follow from it.

Source of the rules: COCO's evaluation, as pycocotools has it, whose matches `matches_of` takes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spdbuild.metrics.by_image.order import Ranking, deciding
from spdbuild.metrics.by_image.results import KINDS

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: As in pycocotools: the recalls at which precision is read, and a number that prevents division by zero.
RECALLS = np.linspace(0, 1, 101)
_TINY = np.spacing(1)
#: The IoU thresholds of AP50 and AP75 among those from 0.50 to 0.95 in steps of 0.05.
_AT_50, _AT_75 = 0, 5
#: The backends add that tiny number in different ways: 1 becomes 0.9999999999999998, or stays 1.
DECIMALS = 12


@KINDS.register
@dataclass(frozen=True, eq=False)
class Matches:
    """Detections and objects of I images. D detections, T IoU thresholds, A sizes, the first of them all sizes.

    images: I. sizes: names of the sizes except the first. limit: most detections of a category in an image.
    image, category: int64 [D], positions of a detection's image and category; by category, highest score first.
    matched, ignored: bool [D, A, T], whether it matches an object of the size, and whether it counts neither way.
    object_image, object_category: int64 [E], an image and a category with objects or detections there.
    objects: int64 [E, A], how many objects are to be found there.
    """

    name: ClassVar[str]

    images: int
    sizes: tuple[str, ...]
    limit: int
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    matched: Flags
    ignored: Flags
    object_image: NDArray[np.int64]
    object_category: NDArray[np.int64]
    objects: NDArray[np.int64]

    def __len__(self) -> int:
        return self.images

    def metrics(self, weights: Array | None = None) -> dict[str, float | None]:
        """AP, AP50, AP75, AP of each size, AR at `limit` and AR of each size; None without an object to be found.

        weights: [I], how often each image counts; once by default.
        """
        counts = np.ones(self.images) if weights is None else weights
        sizes = range(1 + len(self.sizes))
        precision, recall = (np.full((self._categories, len(sizes), self.matched.shape[2]), np.nan) for _ in range(2))
        wanted = self._wanted(counts)
        for curves in self._curves:
            number = wanted[curves.category, curves.size]
            if number > 0:
                # One sum over all detections serves all thresholds.
                seen = np.concatenate(([0.0], np.cumsum(counts[curves.images])))
                for threshold, curve in enumerate(curves.by_threshold):
                    cell = curves.category, curves.size, threshold
                    precision[cell], recall[cell] = curve.measure(counts, number, seen)
        found = {name: mean(precision[:, size]) for size, name in zip(sizes, self._names("AP", "AP"), strict=True)}
        found |= {"AP50": mean(precision[:, 0, _AT_50]), "AP75": mean(precision[:, 0, _AT_75])}
        recalls = self._names(f"AR{self.limit}", "AR")
        return found | {name: mean(recall[:, size]) for size, name in zip(sizes, recalls, strict=True)}

    def carriers(self, groups: NDArray[np.int64] | None = None) -> dict[str, int]:
        """For each metric the number of images, or of their groups, with objects of its size in the rarest category."""
        groups = np.arange(self.images) if groups is None else groups
        whole = len(np.unique(groups))
        cells = np.stack((self.object_category, groups[self.object_image]))
        of_size = [np.bincount(np.unique(cells[:, there], axis=1)[0]) for there in (self.objects > 0).T]
        rarest = [int(counts[counts > 0].min(initial=whole)) for counts in of_size]
        found = dict(zip(self._names("AP", "AP"), rarest, strict=True)) | {"AP50": rarest[0], "AP75": rarest[0]}
        return found | dict(zip(self._names(f"AR{self.limit}", "AR"), rarest, strict=True))

    def shares(self) -> dict[str, NDArray[np.bool_]]:
        """None: no average over ranked detections is a share of the images."""
        return {}

    def differing(self, other: Matches) -> dict[str, Flags]:
        """Those without which no precision differs; for recalls images with another number of right detections."""
        every = range(self.matched.shape[2])
        cells = {name: (size, every) for size, name in enumerate(self._names("AP", "AP"))}
        cells |= {"AP50": (0, range(_AT_50, _AT_50 + 1)), "AP75": (0, range(_AT_75, _AT_75 + 1))}
        categories = max(self._categories, other._categories)
        found = {}
        for name, cell in cells.items():
            rankings = (each._rankings(*cell, categories) for each in (self, other))
            found[name] = deciding(list(zip(*rankings, strict=True)), self.images)
        for size, name in enumerate(self._names(f"AR{self.limit}", "AR")):
            found[name] = self._found_otherwise(other, size)
        return found

    def same_images(self, other: Matches) -> bool:
        """Whether the other matches are of images with as many objects of the same categories and sizes."""
        if (self.images, self.sizes) != (other.images, other.sizes):
            return False
        return all(np.array_equal(*pair) for pair in zip(self._to_find, other._to_find, strict=True))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The matches in arrays of as few bytes as possible: flags as bits."""
        return {
            "sizes": np.array(self.sizes, np.str_),
            "shape": np.array([self.images, self.limit, *self.matched.shape]),
            **{name: getattr(self, name).astype(np.int32) for name in _POSITIONS},
            **{name: np.packbits(getattr(self, name)) for name in _FLAGS},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Matches:
        """Raises ValueError for arrays that do not fit together."""
        images, limit, *shape = map(int, arrays["shape"])
        positions = {name: arrays[name].astype(np.int64) for name in _POSITIONS}
        count = int(np.prod(shape))
        flags = {name: np.unpackbits(arrays[name], count=count).astype(bool).reshape(shape) for name in _FLAGS}
        fields: dict[str, Any] = {**positions, **flags}
        lengths = len(positions["image"]), len(positions["category"]), len(positions["object_image"])
        if lengths != (shape[0], shape[0], len(positions["object_category"])) or shape[1] != 1 + len(arrays["sizes"]):
            raise ValueError("there is not one of everything for each detection and each object")
        for name in ("image", "object_image"):
            if positions[name].size and not 0 <= positions[name].min() <= positions[name].max() < images:
                raise ValueError(f"images must be from 0 to {images - 1}")
        return cls(images=images, sizes=tuple(map(str, arrays["sizes"])), limit=limit, **fields)

    def _names(self, whole: str, prefix: str) -> list[str]:
        """The names of a metric for each of the A sizes."""
        return [whole, *(f"{prefix}_{name}" for name in self.sizes)]

    def _rankings(self, size: int, thresholds: Iterable[int], categories: int) -> Iterator[Ranking]:
        """The detections that count, of each category at each threshold."""
        ends = np.searchsorted(self.category, np.arange(categories + 1))
        for start, end in pairwise(ends):
            for threshold in thresholds:
                rows = start + np.flatnonzero(~self.ignored[start:end, size, threshold])
                yield Ranking(self.image[rows], self.matched[rows, size, threshold])

    def _found_otherwise(self, other: Matches, size: int) -> Flags:
        """[I], whether an image has another number of right detections of a category at a threshold."""
        categories = max(self._categories, other._categories)
        cells = [each.image * categories + each.category for each in (self, other)]
        known, places = np.unique(np.concatenate(cells), return_inverse=True)
        right = [(each.matched & ~each.ignored)[:, size].astype(np.int64) for each in (self, other)]
        balance = np.zeros((len(known), right[0].shape[1]), np.int64)
        np.add.at(balance, places, np.concatenate((right[0], -right[1])))
        differs = np.zeros(self.images, bool)
        differs[known[balance.any(axis=1)] // categories] = True
        return differs

    @property
    def _to_find(self) -> tuple[NDArray[np.int64], ...]:
        """Image, category and counts where there are objects to be found, whatever was detected elsewhere."""
        there = self.objects.any(axis=1)
        return self.object_image[there], self.object_category[there], self.objects[there]

    @property
    def _categories(self) -> int:
        return 1 + int(max(self.object_category.max(initial=-1), self.category.max(initial=-1)))

    def _wanted(self, counts: Array) -> Array:
        """[K, A], objects to be found."""
        found = np.zeros((self._categories, self.objects.shape[1]))
        np.add.at(found, self.object_category, counts[self.object_image, None] * self.objects)
        return found

    @cached_property
    def _curves(self) -> list[_Curves]:
        return list(self._compute_curves())

    def _compute_curves(self) -> Iterator[_Curves]:
        ends = np.searchsorted(self.category, np.arange(self._categories + 1))
        for category in range(self._categories):
            rows = slice(ends[category], ends[category + 1])
            images = self.image[rows]
            for size in range(self.matched.shape[1]):
                # At other thresholds only matched detections count otherwise, and those are few.
                common = ~self.ignored[rows, size, -1]
                before = np.cumsum(common, dtype=np.int64)
                by_threshold = []
                for threshold in range(self.matched.shape[2]):
                    kept = ~self.ignored[rows, size, threshold]
                    right = np.flatnonzero(self.matched[rows, size, threshold] & kept)
                    other = np.flatnonzero(kept != common)
                    signs = np.where(kept[other], 1.0, -1.0)
                    passed = np.searchsorted(other, right, side="right")
                    by_threshold.append(_Curve(images[right], before[right], images[other], signs, passed))
                yield _Curves(category, size, images[common], tuple(by_threshold))


_POSITIONS = ("image", "category", "object_image", "object_category", "objects")
_FLAGS = ("matched", "ignored")


@dataclass(frozen=True, eq=False)
class _Curves:
    """The curves of one category and size by threshold.

    images: those of the detections that count at the highest threshold, highest score first.
    """

    category: int
    size: int
    images: NDArray[np.int64]
    by_threshold: tuple[_Curve, ...]


@dataclass(frozen=True, eq=False)
class _Curve:
    """Precision over recall of one category, size and threshold, at its R right detections, highest score first.

    right: [R], their images.
    before: [R], how many of the detections that count at the highest threshold come up to each.
    other, signs: images of the detections that count here and not there (1), or there and not here (-1).
    passed: [R], how many of these come up to each right one.
    """

    right: NDArray[np.int64]
    before: NDArray[np.int64]
    other: NDArray[np.int64]
    signs: Array
    passed: NDArray[np.int64]

    def measure(self, counts: Array, wanted: float, seen: Array) -> tuple[float, float]:
        """Average precision and recall, with image i counted counts[i] times and `wanted` objects in all.

        seen: the sum of the counts over the first 0, 1, 2, ... detections that count at the highest threshold.
        """
        if not len(self.right):
            return 0.0, 0.0
        found = np.cumsum(counts[self.right])
        total = seen[self.before]
        if len(self.other):
            total = total + np.concatenate(([0.0], np.cumsum(self.signs * counts[self.other])))[self.passed]
        # Between two right ones precision only falls, so it is needed at the right ones alone.
        precision = found / (total + _TINY)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        recall = found / wanted
        read = np.searchsorted(recall, RECALLS, side="left")
        return float(best[read[read < len(best)]].sum() / len(RECALLS)), float(recall[-1])


def matches_of(
    evaluated: Sequence[Mapping[str, Any] | None],
    categories: int,
    images: int,
    sizes: Sequence[str],
    thresholds: int,
    limit: int,
) -> Matches:
    """The matches of pycocotools' `evalImgs`: K x A x I entries, None where an image has nothing of a category."""
    count = 1 + len(sizes)
    cells = [evaluated[cell * images : (cell + 1) * images] for cell in range(categories * count)]
    parts = [_of_category(cells[start : start + count], thresholds) for start in range(0, len(cells), count)]
    columns: dict[str, Any] = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    columns["category"] = np.repeat(np.arange(len(parts)), [len(part["image"]) for part in parts])
    columns["object_category"] = np.repeat(np.arange(len(parts)), [len(part["objects"]) for part in parts])
    return Matches(images=images, sizes=tuple(sizes), limit=limit, **columns)


def _of_category(by_size: Sequence[Sequence[Mapping[str, Any] | None]], thresholds: int) -> dict[str, NDArray[Any]]:
    """Columns of one category from its images, once for each size; detections with the highest score first."""
    present = [number for number, entry in enumerate(by_size[0]) if entry is not None]
    found = [[entry for entry in of_size if entry is not None] for of_size in by_size]
    scores = [np.array(entry["dtScores"], np.float64) for entry in found[0]]
    # The sort of pycocotools, so that equal scores keep the same order.
    order = np.argsort(-np.concatenate([np.zeros(0), *scores]), kind="mergesort")
    none = np.zeros((thresholds, 0), bool)
    flags = {
        name: np.stack([np.concatenate([none, *(e[key] != 0 for e in of_size)], axis=1) for of_size in found])
        for name, key in (("matched", "dtMatches"), ("ignored", "dtIgnore"))
    }
    objects = [[np.count_nonzero(entry["gtIgnore"] == 0) for entry in of_size] for of_size in found]
    return {
        "image": np.repeat(np.array(present, np.int64), [len(own) for own in scores])[order],
        **{name: given[:, :, order].transpose(2, 0, 1) for name, given in flags.items()},
        "object_image": np.array(present, np.int64),
        "objects": np.array(objects, np.int64).reshape(len(found), len(present)).T,
    }


def mean(values: Array) -> float | None:
    """The mean of the defined values; None if there are none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean().round(DECIMALS)) if defined.size else None

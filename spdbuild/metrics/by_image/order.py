"""The images that decide how the precision of two rankings of detections differs.

Interpolated precision depends on which false detections come before which right ones, and on nothing else: false ones
that change places among themselves, or right ones with no false one between, and false ones behind all right ones make
no difference, however often each image counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ranking:
    """The D detections of a category, size and threshold that count, highest score first.

    image: [D], positions of their images. right: [D], whether they match an object.
    """

    image: Integers
    right: Flags

    def equals(self, other: Ranking) -> bool:
        return np.array_equal(self.image, other.image) and np.array_equal(self.right, other.right)


def deciding(pairs: Sequence[tuple[Ranking, Ranking]], images: int) -> Flags:
    """[images], those without which no pair of rankings differs in precision, however often the others count.

    They are few, but not always as few as possible: those that alone make a difference, and of each pair what is
    outside a longest sequence that both rankings have in the same order.
    """
    found = np.zeros(images, bool)
    pairs = [(own, other) for own, other in pairs if not own.equals(other)]
    for pair in pairs:
        counts = [np.bincount(ranking.image[ranking.right], minlength=images) for ranking in pair]
        found |= counts[0] != counts[1]
    for pair in pairs:
        items = _aligned(pair, found)
        found[items.image[items.turned_within_images()]] = True
    for pair in pairs:
        items = _aligned(pair, found)
        found[items.image[items.turned()]] = True
    return found


@dataclass(frozen=True, eq=False)
class _Items:
    """N detections that two rankings have in common: of each image the first right one in both, the second, and so on.

    image: [N], grouped by image. own, other: [N], their runs in the rankings, counted from 0: right ones with no false
    one between are a run, and so are false ones.
    """

    image: Integers
    own: Integers
    other: Integers

    def turned_within_images(self) -> Integers:
        """Places of items that another of the same image comes before in one of the rankings, and behind in one."""
        order = np.lexsort((self.own, self.other, self.image))
        image, own = self.image[order], self.own[order]
        turned = (image[1:] == image[:-1]) & (own[1:] < own[:-1])
        return np.extract(turned, order[1:])

    def turned(self) -> Integers:
        """Places of the items outside a longest sequence that has the same order in both rankings."""
        order = np.lexsort((self.own, self.other))
        own = self.own[order]
        # Items that all others are on the same side of in both rankings are in such a sequence: most, in similar ones.
        highest, lowest = np.maximum.accumulate(own), np.minimum.accumulate(own[::-1])[::-1]
        order = order[(own < highest) | (own > lowest)]
        kept = np.zeros(len(order), bool)
        kept[_longest_rising(self.own[order].tolist())] = True
        return order[~kept]


def _aligned(pair: tuple[Ranking, Ranking], left_out: Flags) -> _Items:
    """The detections of a pair in images that are not left out, which have as many right ones in both rankings.

    A false detection that one of the rankings lacks is put behind its last, where it makes no difference.
    """
    rankings = [_without(ranking, left_out) for ranking in pair]
    size = 1 + max(len(ranking.image) for ranking in rankings)
    numbers = [_numbers(ranking, size) for ranking in rankings]
    every = np.union1d(*numbers)
    image, right = np.divmod(every // size, 2)
    own, other = (_runs(every, right, own) for own in numbers)
    return _Items(image, own, other)


def _without(ranking: Ranking, left_out: Flags) -> Ranking:
    kept = ~left_out[ranking.image]
    return Ranking(ranking.image[kept], ranking.right[kept])


def _numbers(ranking: Ranking, size: int) -> Integers:
    """[D], a number for each detection by its image, by whether it is right, and by how many such come before it."""
    kinds = 2 * ranking.image + ranking.right
    order = np.argsort(kinds, kind="stable")
    ordered = kinds[order]
    before = np.empty_like(kinds)
    before[order] = np.arange(len(kinds)) - np.searchsorted(ordered, ordered)
    return kinds * size + before


def _runs(every: Integers, right: Integers, ranked: Integers) -> Integers:
    """[N], the run of each of the items `every` in a ranking of some of them; the others come behind its last."""
    places = np.full(len(every), len(ranked))
    places[np.searchsorted(every, ranked)] = np.arange(len(ranked))
    order = np.argsort(places, kind="stable")
    runs = np.zeros(len(every), np.int64)
    runs[order[1:]] = np.cumsum(right[order[1:]] != right[order[:-1]])
    return runs


def _longest_rising(values: Iterable[int]) -> list[int]:
    """Places of a longest subsequence in which no value is lower than the one before it."""
    # Of the rising sequences of each length the one with the lowest last value, that value, and its place.
    lasts, places, before = list[int](), list[int](), list[int]()
    for place, value in enumerate(values):
        length = bisect_right(lasts, value)
        before.append(places[length - 1] if length else -1)
        lasts[length : length + 1] = [value]
        places[length : length + 1] = [place]
    found, place = list[int](), places[-1] if places else -1
    while place >= 0:
        found.append(place)
        place = before[place]
    return found[::-1]

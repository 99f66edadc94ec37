"""Groups of images, such as the frames of a video or the pictures of a patient, each as a whole in one part."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.division.name_digest import name_digest
from spdbuild.data.files.listing import Groups, Listing
from spdbuild.errors import DataError
from spdbuild.text.together import group_numbers
from spdbuild.wording.phrases import number

#: Stands beside the classes for the images themselves.
_IMAGES = -1

#: How many images there are, and of each class how many images or objects.
Counts = Counter[int]


@dataclass(frozen=True)
class _Group:
    """Images that stay together.

    digest: the least of those of their names. weight: how much of all there is, of images and classes, it has.
    """

    positions: tuple[int, ...]
    counts: Counts
    digest: bytes
    weight: float


def grouped(names: Sequence[str], together: str) -> Groups:
    """The groups that a pattern makes of the names of images; raises ArgumentError if the names give none."""
    return Groups(tuple(group_numbers(re.compile(together), names)), "together", together)


def groups_of(whole: Listing, together: str | None) -> Groups | None:
    """The groups of a listing: its own, or those that a pattern makes of its names; None if there are none."""
    if together is None:
        return whole.groups
    return grouped([whole.name(path) for path in whole.paths], together)


def parts_of_groups(
    names: Sequence[str], classes: Sequence[Sequence[int]], groups: Sequence[int], shares: Sequence[float]
) -> NDArray[np.int64]:
    """[N], the part of each image, from 0: those of one group are in the same one.

    The groups, the largest first, go where least of what they have is already, images and classes, for the share of the
    part. If possible no part gets all images, or all of a class. As far as this leaves a choice, parts of equal shares
    differ by no more images than the largest group has, and the share of one of two parts is met within half of it.
    Where groups are alike the digests of names decide, neither a seed nor the order.

    classes: for each image those of its objects. groups: of each image, from 0. shares: of each part; they add up to 1.

    Source: for images alone Graham 1969, "Bounds on Multiprocessing Timing Anomalies", SIAM J. Appl. Math. 17.
    """
    totals = _counts(classes)
    ordered = sorted(_groups(names, classes, groups, totals), key=lambda group: (-group.weight, group.digest))
    held, largest = [Counts() for _ in shares], max(group.counts[_IMAGES] for group in ordered)
    found = np.empty(len(names), np.int64)
    for group in ordered:
        part = _best(group.counts, held, shares, totals, largest)
        held[part] += group.counts
        found[list(group.positions)] = part
    return found


def require_divided_classes(whole: Listing, parts: NDArray[np.int64], division: str, groups: Groups) -> None:
    """Refuse parts of which one has all images of a class; raises DataError.

    parts: of each image. division, groups: how they were made, the first as one writes it in a recipe.
    """
    by = f"{division} and {groups}"
    another = ", leave it out, or write a pattern that tells more groups apart"
    labels = np.asarray(whole.labels, np.int64)
    pairs = np.unique(np.stack((labels, parts)), axis=1)
    for label in np.flatnonzero(np.bincount(pairs[0]) == 1):
        count = number(int(np.sum(labels == label)), "image")
        raise DataError(
            f"the class '{whole.classes[label]}' has all of its {count} in {whole.root} in one part with {by}",
            hint="add images of other groups to it" + (another if groups.key == "together" else ", or leave it out"),
        )


def _groups(
    names: Sequence[str], classes: Sequence[Sequence[int]], groups: Sequence[int], totals: Counts
) -> Iterable[_Group]:
    members: dict[int, list[int]] = {}
    for position, group in enumerate(groups):
        members.setdefault(group, []).append(position)
    for positions in members.values():
        counts = _counts([classes[position] for position in positions])
        weight = _overlap(counts, counts, totals)
        yield _Group(tuple(positions), counts, min(name_digest(names[position]) for position in positions), weight)


def _counts(classes: Iterable[Iterable[int]]) -> Counts:
    counts = Counts()
    for own in classes:
        counts[_IMAGES] += 1
        counts.update(own)
    return counts


def _best(own: Counts, held: Sequence[Counts], shares: Sequence[float], totals: Counts, largest: int) -> int:
    """The part that a group with counts `own` goes to. largest: the number of images of the largest group."""
    size, half = own[_IMAGES], largest / 2
    least = min((counts[_IMAGES] + half) / share for counts, share in zip(held, shares, strict=True))
    itself = _overlap(own, own, totals) / 2

    def preferred(part: int) -> tuple[bool, bool, float]:
        counts, share = held[part], shares[part]
        whole = any(counts[key] + count == totals[key] for key, count in own.items() if count < totals[key])
        # The rounding of shares must not decide.
        uneven = (counts[_IMAGES] + size - half) / share > least * (1 + 1e-9)
        return whole, uneven, (_overlap(own, counts, totals) + itself) / share

    return min(range(len(held)), key=preferred)


def _overlap(own: Counts, other: Counts, totals: Counts) -> float:
    """How much of what one has the other has, too: of images, and the mean over the classes, as products of shares."""
    # Rounded once at its end: on another machine it is the same.
    products = (count * other[key] / totals[key] ** 2 for key, count in own.items() if key != _IMAGES)
    of_classes = math.fsum(products) / max(len(totals) - 1, 1)
    return of_classes + own[_IMAGES] * other[_IMAGES] / totals[_IMAGES] ** 2

"""Which ids evaluation files can hold, and which ids images and classes without any get."""

from __future__ import annotations

from collections.abc import Sequence

#: Ids are kept as float64 beside scores and boxes, which is exact up to here; no image has as many pixels.
LARGEST = 2**53


def category_ids(count: int) -> tuple[int, ...]:
    """Ids for `count` classes without any: 1, 2, 3, ..., because readers of COCO's files take 0 for the background."""
    return tuple(range(1, count + 1))


def image_ids(stems: Sequence[str]) -> list[int]:
    """The files' names as numbers, if all are numbers, no two equal and none too large; otherwise 1, 2, 3, ..."""
    counted = list(range(1, len(stems) + 1))
    if not all(stem.isascii() and stem.isdecimal() and len(stem) <= len(str(LARGEST)) for stem in stems):
        return counted
    numbers = list(map(int, stems))
    return numbers if len(set(numbers)) == len(numbers) and max(numbers, default=0) < LARGEST else counted

"""Which ids evaluation files can hold, and which images get that have none."""

from __future__ import annotations

from collections.abc import Sequence

#: Ids are kept as float64 beside scores and boxes, which is exact up to here; no image has as many pixels.
LARGEST = 2**53


def image_ids(stems: Sequence[str]) -> list[int]:
    """The numbers that files are named by, if all of them are and no two are equal or too large; else 1, 2, 3, ..."""
    counted = list(range(1, len(stems) + 1))
    if not all(stem.isascii() and stem.isdecimal() and len(stem) <= len(str(LARGEST)) for stem in stems):
        return counted
    numbers = list(map(int, stems))
    return numbers if len(set(numbers)) == len(numbers) and max(numbers, default=0) < LARGEST else counted

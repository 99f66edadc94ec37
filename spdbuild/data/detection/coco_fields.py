"""What the entries of a COCO file must hold: any JSON may stand where a number or a list is expected."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.ids import LARGEST
from spdbuild.data.detection.outlines import Polygon

#: Keys that hold numbers; those of a box are in a list.
_NUMBERS = ("id", "image_id", "category_id", "area", "iscrowd", "width", "height")


def with_numbers(entry: Any) -> Any:
    """An entry with numbers in place of texts that are numbers, as exports from tables have; all else as it is."""
    if not isinstance(entry, dict):
        return entry
    found = {key: _number(entry[key]) for key in _NUMBERS if isinstance(entry.get(key), str)}
    box = entry.get("bbox")
    if isinstance(box, list) and str in map(type, box):
        found["bbox"] = list(map(_number, box))
    return {**entry, **found} if found else entry


def _number(value: Any) -> Any:
    """The number that a text is, written as in JSON; anything else as it is."""
    with suppress(ValueError, RecursionError):
        number = json.loads(value) if isinstance(value, str) else value
        return number if is_number(number) else value
    return value


def is_number(value: Any) -> TypeGuard[float]:
    """A finite number: JSON as Python reads it also has NaN, infinities and integers of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def is_id(value: Any) -> TypeGuard[float]:
    """A whole number; tools that keep tables write 4.0."""
    return is_number(value) and value % 1 == 0


def annotation_fault(entry: Any) -> str | None:
    """What is wrong with the form of an annotation, as a sentence; None if it can be read."""
    box = entry.get("bbox") if isinstance(entry, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        return f"needs a 'bbox' of 4 numbers, got {_shown(entry)}"
    area = entry.get("area")
    if area is not None and not (is_number(area) and area >= 0):
        return f"'area' must be a number of at least 0, got {_shown(area)}"
    if entry.get("iscrowd") not in (0, 1, None):
        return f"'iscrowd' must be 0 or 1, got {_shown(entry['iscrowd'])}"
    return _id_fault(entry, "image_id") or _id_fault(entry, "category_id")


def _id_fault(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return None if is_id(value) else f"ids must be whole numbers below 2**53, got '{key}': {_shown(value)}"


def mask_fault(mask: Mapping[str, Any]) -> str | None:
    """What is wrong with the form of run lengths, which are numbers or pycocotools' text; None if they can be read."""
    size, counts = mask.get("size"), mask.get("counts")
    sized = isinstance(size, list) and len(size) == 2 and all(is_id(side) and side >= 1 for side in size)
    counted = isinstance(counts, str) or (isinstance(counts, list) and all(is_id(run) and run >= 0 for run in counts))
    if sized and counted:
        return None
    return f"a mask needs its 'size' (height and width) and 'counts' (whole numbers or a text), got {_shown(mask)}"


def read_outline(segmentation: Any) -> tuple[Polygon, ...] | str:
    """The polygons with an area, none for a mask of run lengths (a crowd region); a sentence if it is neither."""
    # Some tools write an empty string where there is no outline.
    if isinstance(segmentation, dict | None) or segmentation == "":
        return ()
    # A single polygon that is in no list of polygons.
    flat = isinstance(segmentation, list) and any(map(is_number, segmentation))
    rings = _rings([segmentation] if flat else segmentation)
    if rings is None:
        return f"'segmentation' must be lists of numbers or a mask, got {_shown(segmentation)}"
    return tuple(ring.reshape(-1, 2) for ring in rings if len(ring) >= 6 and len(ring) % 2 == 0)


def _rings(segmentation: Any) -> list[NDArray[np.float64]] | None:
    """Lists of finite numbers as arrays; all numbers of a list at once, as a large data set has tens of millions."""
    if not isinstance(segmentation, list):
        return None
    try:
        rings = [np.array(ring, np.float64) for ring in segmentation]
    except (TypeError, ValueError, OverflowError):
        return None
    return rings if all(ring.ndim == 1 and np.isfinite(ring).all() for ring in rings) else None


def image_fault(entry: Any) -> str | None:
    """What is wrong with the form of an image, as a sentence; None if it can be read."""
    if not isinstance(entry, dict) or "id" not in entry or not isinstance(entry.get("file_name"), str):
        return f"an image needs an 'id' and a 'file_name'; got {_shown(entry)}"
    for side in ("width", "height"):
        value = entry.get(side)
        if value is not None and not (is_id(value) and value >= 0):
            return f"'{side}' must be a whole number, 0 where it is not known, got {_shown(value)}"
    return _id_fault(entry, "id")


def written_size(entry: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width in an image's readable entry; None if one of them is missing, or 0, which some tools write."""
    height, width = entry.get("height"), entry.get("width")
    return (int(height), int(width)) if height and width else None


def category_fault(entry: Any) -> str | None:
    """What is wrong with the form of a category, as a sentence; None if it can be read."""
    name = entry.get("name") if isinstance(entry, dict) else None
    # Some tools write a name such as 7 as a number.
    if not isinstance(name, str | int) or isinstance(name, bool) or "id" not in entry:
        return f"a category needs an 'id' and a 'name'; got {_shown(entry)}"
    fault = _id_fault(entry, "id")
    return f"{fault} of the category '{name}'" if fault else None


def _shown(value: Any) -> str:
    return json.dumps(value)[:120]

"""What the entries of a COCO file must hold: any JSON can stand where a number or a list is meant."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.detection.ids import LARGEST
from spdbuild.data.detection.outlines import Polygon


def is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


def is_number(value: Any) -> TypeGuard[float]:
    """A finite number: JSON as Python reads it also has NaN, infinities and integers of any length."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def annotation_fault(entry: Any) -> str | None:
    """What is wrong with the form of an annotation, as a sentence; None if it can be read."""
    box = entry.get("bbox") if isinstance(entry, dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
        return f"needs a 'bbox' of 4 numbers, got {_shown(entry)}"
    if "area" in entry and not (is_number(entry["area"]) and entry["area"] >= 0):
        return f"'area' must be a number of at least 0, got {_shown(entry['area'])}"
    if entry.get("iscrowd", 0) not in (0, 1):
        return f"'iscrowd' must be 0 or 1, got {_shown(entry['iscrowd'])}"
    return None


def mask_fault(mask: Mapping[str, Any]) -> str | None:
    """What is wrong with the form of run lengths, which are numbers or pycocotools' text; None if they can be read."""
    size, counts = mask.get("size"), mask.get("counts")
    sized = isinstance(size, list) and len(size) == 2 and all(_is_whole(side, least=1) for side in size)
    counted = isinstance(counts, str) or (isinstance(counts, list) and all(_is_whole(run, least=0) for run in counts))
    if sized and counted:
        return None
    return f"a mask needs its 'size' (height and width) and 'counts' (whole numbers or a text), got {_shown(mask)}"


def _is_whole(value: Any, *, least: int) -> bool:
    """A whole number of at least `least`, which may be written as 4.0."""
    return is_number(value) and value >= least and value % 1 == 0


def read_outline(segmentation: Any) -> tuple[Polygon, ...] | str:
    """The polygons with an area, none of a mask of run lengths (a crowd region); a sentence if it is neither."""
    if isinstance(segmentation, dict | None):
        return ()
    rings = _rings(segmentation)
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
    fields: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    numbers = [fields.get(key) for key in ("id", "width", "height")]
    if not all(map(is_id, numbers)) or not isinstance(fields.get("file_name"), str):
        return f"an image needs 'id', 'file_name', 'width' and 'height'; got {_shown(entry)}"
    if min(fields["width"], fields["height"]) < 1:
        return f"the image {fields['id']} has a size of {fields['width']}x{fields['height']} pixels"
    return None


def category_fault(entry: Any) -> str | None:
    """What is wrong with the form of a category, as a sentence; None if it can be read."""
    if isinstance(entry, dict) and is_id(entry.get("id")) and isinstance(entry.get("name"), str):
        return None
    return f"a category needs an 'id' (a whole number) and a 'name'; got {_shown(entry)}"


def _shown(value: Any) -> str:
    return json.dumps(value)[:120]

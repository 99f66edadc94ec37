"""COCO's formats: ground truth as its dictionary, detections as rows and as its JSON file, its category numbers.

Detections are float64 rows [D, 7]: image id, left, top, width, height (pixels of the original), score, category id.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spdbuild.boxes import area_xyxy, xyxy_to_xywh
from spdbuild.errors import DataError, nearest

# The annotated categories keep the numbers of a longer list, of which 11 were never used.
_UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_CATEGORY_IDS = tuple(number for number in range(1, 91) if number not in _UNUSED)

CocoDict = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ImageTruth:
    """What is in one image.

    image_id: whole number, unique in the data set.
    height, width: of the original image, in pixels.
    boxes_xyxy: [B, 4] in its pixels.
    labels: [B] class indices.
    crowd: [B] bool, regions in which detections of the class count neither as right nor as wrong; by default none.
    areas: [B] in square pixels, by which objects are sorted into sizes; by default those of the boxes.
    """

    image_id: int
    height: int
    width: int
    boxes_xyxy: Tensor
    labels: Tensor
    crowd: Tensor | None = None
    areas: Tensor | None = None


def ground_truth_dict(
    images: Iterable[ImageTruth], names: Sequence[str], category_ids: Sequence[int] | None = None
) -> dict[str, Any]:
    """The COCO dictionary of a data set in any format.

    names: of the classes, by class index; category_ids: their COCO numbers, by default index + 1.
    """
    numbers = list(category_ids or range(1, len(names) + 1))
    images = list(images)
    annotations = [annotation for image in images for annotation in _annotations(image, numbers)]
    return {
        "images": [{"id": image.image_id, "height": image.height, "width": image.width} for image in images],
        "categories": [{"id": number, "name": name} for number, name in zip(numbers, names, strict=True)],
        "annotations": [{"id": number, **annotation} for number, annotation in enumerate(annotations, start=1)],
    }


def _annotations(image: ImageTruth, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    areas = area_xyxy(image.boxes_xyxy) if image.areas is None else image.areas
    crowd = torch.zeros(len(image.labels)) if image.crowd is None else image.crowd
    columns = (xyxy_to_xywh(image.boxes_xyxy).tolist(), image.labels.tolist(), areas.tolist(), crowd.tolist())
    return [
        {
            "image_id": image.image_id,
            "category_id": category_ids[int(label)],
            "bbox": box,
            "area": area,
            "iscrowd": int(is_crowd),
        }
        for box, label, area, is_crowd in zip(*columns, strict=True)
    ]


def ignore_categories(ground_truth: CocoDict, names: Collection[str]) -> dict[str, Any]:
    """The ground truth without the categories `names`; what they mark becomes a crowd region of every other category.

    So a detection on such a region counts neither as right nor as wrong, whatever its class.
    """
    known = {category["name"]: category["id"] for category in ground_truth["categories"]}
    for name in names:
        if name not in known:
            raise DataError(f"there is no category '{name}' to ignore", hint=nearest(name, known))
    ignored = {known[name] for name in names}
    left = [category for category in ground_truth["categories"] if category["id"] not in ignored]
    annotations = []
    for annotation in ground_truth["annotations"]:
        if annotation["category_id"] in ignored:
            annotations += [{**annotation, "category_id": category["id"], "iscrowd": 1} for category in left]
        else:
            annotations.append(annotation)
    numbered = [{**annotation, "id": number} for number, annotation in enumerate(annotations, start=1)]
    return {**ground_truth, "categories": left, "annotations": numbered}


def detection_rows(image_id: int, detections: Tensor, category_ids: Sequence[int]) -> NDArray[np.float64]:
    """Detections of one image [D, 6] (left, top, right, bottom, score, class index) as rows [D, 7]."""
    given = detections.detach().to("cpu", torch.float64)
    categories = torch.tensor(category_ids, dtype=torch.float64)[given[:, 5].long()]
    image = torch.full_like(categories, image_id)
    rows = torch.cat((image[:, None], xyxy_to_xywh(given[:, :4]), given[:, 4:5], categories[:, None]), dim=1)
    return np.asarray(rows)


def write_predictions(file: Path, rows: NDArray[np.float64]) -> None:
    """Write detections [D, 7] as COCO's results JSON: boxes with 3 decimals, scores with 5; whole or not at all."""
    records = [
        {
            "image_id": int(image_id),
            "category_id": int(category_id),
            "bbox": [round(side, 3) for side in box],
            "score": round(score, 5),
        }
        for image_id, *box, score, category_id in rows.tolist()
    ]
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    with beside.open("w") as stream:
        json.dump(records, stream)
        stream.flush()
        os.fsync(stream.fileno())
    beside.replace(file)


def read_predictions(file: Path) -> NDArray[np.float64]:
    """Detections [D, 7] of a results JSON; DataError where it is none."""
    try:
        records = json.loads(file.read_text())
        rows = [(record["image_id"], *record["bbox"], record["score"], record["category_id"]) for record in records]
        return np.array(rows, dtype=np.float64).reshape(len(rows), 7)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: is not a list of detections in COCO's format: {error}",
            hint="each needs image_id, category_id, bbox [left, top, width, height] and score",
        ) from error

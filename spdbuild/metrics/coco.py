"""COCO's formats of detections: rows, and a JSON file.

Detections are float64 rows [D, 7]: image id, left, top, width, height (pixels of the original), score, category id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spdbuild.boxes.boxes import xyxy_to_xywh

#: A document with images, annotations and categories, as in COCO's annotation files.
CocoDict = Mapping[str, Any]


def detection_rows(image_id: int, detections: Tensor, category_ids: Sequence[int] | Tensor) -> NDArray[np.float64]:
    """Detections of one image [D, 6] (left, top, right, bottom, score, class index) as rows [D, 7].

    category_ids: that of each class; as float64 [K] they are not converted anew for every image.
    """
    given = detections.detach().to("cpu", torch.float64)
    categories = torch.as_tensor(category_ids, dtype=torch.float64)[given[:, 5].long()]
    image = torch.full_like(categories, image_id)
    rows = torch.cat((image[:, None], xyxy_to_xywh(given[:, :4]), given[:, 4:5], categories[:, None]), dim=1)
    return np.asarray(rows)


def predictions_json(rows: NDArray[np.float64]) -> str:
    """Detections [D, 7] as the text of COCO's results file: boxes with 6 decimals, scores with 8.

    With fewer, overlaps of small boxes would move across a threshold, and different scores would become equal.
    """
    records = [
        {
            "image_id": int(image_id),
            "category_id": int(category_id),
            "bbox": [round(side, 6) for side in box],
            "score": round(score, 8),
        }
        for image_id, *box, score, category_id in rows.tolist()
    ]
    return json.dumps(records)

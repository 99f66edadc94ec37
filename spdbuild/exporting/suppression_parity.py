"""Whether a file suppresses the boxes that spdbuild does.

Random images have few boxes that count, or equal ones. So a file of the suppression alone is compared, number by
number, on boxes made for it; and of the whole file it is checked that it keeps boxes of its network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from spdbuild.boxes.boxes import cxcywh_to_xyxy
from spdbuild.errors import RunError
from spdbuild.exporting.formats import Runner
from spdbuild.exporting.suppression import NO_LABEL
from spdbuild.metrics.nms import NmsOptions, select_detections
from spdbuild.nn.detection import BOX_AND_OBJECT

#: Scores of an image on which a file is compared.
_SCORES = 2000


def crowded(shape: Sequence[int], options: NmsOptions, seed: int = 0) -> Tensor:
    """Decoded boxes [N, R, 5 + K], many of which overlap, with scores around the least; no two scores are equal.

    Only so many have scores that a search which is quadratic in their number does not take long, and that hardly an
    overlap equals the limit but for rounding.
    """
    generator = torch.Generator().manual_seed(seed)
    images, rows, columns = shape
    # Of a side at which some boxes overlap by more, and some by less, however many there are.
    scored = min(rows, max(_SCORES // (columns - BOX_AND_OBJECT), 20))
    side = 25 * scored**0.5
    boxes = torch.rand(images, rows, 4, generator=generator) * torch.tensor([side, side, 120, 120]) + 1
    decoded = torch.cat((boxes, torch.zeros(images, rows, columns - 4)), dim=2)
    # A power of two, so that products are as different as their factors.
    objectness = 0.5 if options.min_score < 0.4 else 1.0
    lowest = 0.9 * options.min_score / objectness
    for image in decoded:
        chosen = torch.randperm(rows, generator=generator)[:scored]
        ranks = torch.randperm(len(chosen) * (columns - BOX_AND_OBJECT), generator=generator).view(len(chosen), -1)
        image[chosen, BOX_AND_OBJECT - 1] = objectness
        image[chosen, BOX_AND_OBJECT:] = lowest + (1 - lowest) * (ranks + 1) / (ranks.numel() + 1)
    return decoded


def require_same_selection(file: Runner, decoded: Tensor, options: NmsOptions, where: str) -> None:
    """Raise RunError unless a file gives of decoded boxes [N, R, 5 + K] exactly what spdbuild selects.

    where: the file that is not written then.
    """
    counts, boxes, scores, labels = file([decoded])
    selected = select_detections(decoded, options)
    # The last column, for classes, is filled with their own number for none.
    expected = [pad(rows, (0, 0, 0, options.max_detections - len(rows))) for rows in selected]
    for rows, real in zip(expected, selected, strict=True):
        rows[len(real) :, 5] = NO_LABEL
    found = torch.cat((boxes, scores[..., None], labels[..., None].to(boxes)), dim=2)
    if counts.tolist() != list(map(len, selected)) or not torch.equal(found, torch.stack(expected)):
        raise RunError(
            f"{where} was not written: of overlapping boxes it keeps others than spdbuild does",
            hint="leave nms out, and suppress them behind the file",
        )


def require_own_boxes(
    found: Sequence[Tensor], decoded: Tensor, options: NmsOptions, tolerance: float, where: str
) -> None:
    """Raise RunError unless a file keeps the best box that it decodes, [N, R, 5 + K], and none that it does not.

    Which others it keeps is not compared: where scores are equal but for rounding, it can be any of them.
    tolerance: greatest difference of a score, and of a coordinate in shares of the greatest one.
    where: the file that is not written then.
    """
    boxes = cxcywh_to_xyxy(decoded[..., :4])
    scores = decoded[..., BOX_AND_OBJECT:] * decoded[..., BOX_AND_OBJECT - 1, None]
    scale = max(float(boxes.abs().max()), 1.0)
    for image, count in enumerate(found[0].tolist()):
        _, kept, kept_scores, labels = (output[image, :count] if output.ndim > 1 else output for output in found)
        best = float(scores[image].max())
        # A best score of no more than the least counts or not by rounding alone.
        lost = best - max(kept_scores.tolist(), default=min(best, options.min_score))
        wrong = abs(lost) > tolerance
        for label in {*labels.tolist()}:
            own = torch.cat((kept / scale, kept_scores[:, None]), dim=1)[labels == label]
            given = torch.cat((boxes[image] / scale, scores[image, :, label, None]), dim=1)
            wrong = wrong or bool((torch.cdist(own, given, p=float("inf")).amin(dim=1) > tolerance).any())
        if wrong:
            raise RunError(f"{where} was not written: it keeps other boxes than it decodes", hint="leave nms out")

"""Detections gathered image by image, and evaluated when all are there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.metrics.coco import detection_rows, predictions_json
from spdbuild.metrics.confusion import DetectionConfusion, Outcome, covered
from spdbuild.metrics.detection import ClassMetrics, DetectionMetrics, evaluate_detections
from spdbuild.metrics.nms import select_detections
from spdbuild.metrics.reference_ap import THRESHOLDS, ReferencePrecision, average_precision, correct_detections
from spdbuild.training.detection.charts import charts_of
from spdbuild.training.detection.images import DetectionImages
from spdbuild.training.detection.limits import limits_exceeded
from spdbuild.training.detection.options import JudgingOptions
from spdbuild.training.task import Evaluation
from spdbuild.wording.tables import Table


class DetectionMeter:
    """The detections in images of a data set.

    views: lines that tell from which views of each image its boxes are.

    Its state holds, for D detections: rows [D, 7] as COCO has them; hits [D, T], whether one counts as correct at each
    of the thresholds of the published training's own metric; and judged [D], whether it counts at all there, which it
    does not on a crowd or an ignored region of its class. Further the confusion [K + 1, K + 1], and the outcome of each
    image by its position.
    """

    def __init__(self, images: DetectionImages, options: JudgingOptions, views: Sequence[str] = ()) -> None:
        self._images, self._options, self._views = images, options, views
        self._rows: list[NDArray[np.float64]] = [np.zeros((0, 7))]
        self._hits: list[NDArray[np.bool_]] = [np.zeros((0, len(THRESHOLDS)), bool)]
        self._judged: list[NDArray[np.bool_]] = [np.zeros(0, bool)]
        self._category_ids = torch.tensor(images.dataset.category_ids, dtype=torch.float64)
        self._confusion = DetectionConfusion(len(images.classes))
        self._outcomes: dict[int, Outcome] = {}

    def update(self, boxes: Tensor, batch: DetectionBatch) -> None:
        for index, found in self.found(boxes, batch).items():
            self.add(index, found)

    def found(self, boxes: Tensor, batch: DetectionBatch) -> dict[int, Tensor]:
        """The detections in each image of a batch, by its position, as `add` takes them; boxes: as of `Detector`."""
        rows = [self._annotated(found.cpu().double()) for found in select_detections(boxes, self._options.nms)]
        places = zip(batch.indices.tolist(), rows, batch.letterboxes, strict=True)
        return {index: torch.cat((place.to_source(own[:, :4]), own[:, 4:]), dim=1) for index, own, place in places}

    def _annotated(self, found: Tensor) -> Tensor:
        """The detections [D, 6] of classes that the data are annotated for."""
        annotated = self._images.annotated
        return found if annotated is None else found[torch.isin(found[:, 5], found.new_tensor(annotated))]

    def add(self, index: int, found: Tensor) -> None:
        """Take in the detections [D, 6] of the image at `index`: left, top, right, bottom, score, class; best first.

        Boxes are in pixels of the image as it is in its file.
        """
        dataset = self._images.dataset
        objects = dataset.of_image(index)
        boxes, classes = torch.from_numpy(objects.boxes_xyxy), torch.from_numpy(objects.classes)
        regions = torch.from_numpy(~objects.counted)
        self._rows.append(detection_rows(dataset.images[index].id, found, self._category_ids))
        self._outcomes[index] = self._confusion.update(found, boxes, classes, regions)
        if self._options.class_agnostic:
            found, classes = torch.cat((found[:, :5], torch.zeros_like(found[:, 5:])), dim=1), classes * 0
        hits = correct_detections(found, boxes[~regions], classes[~regions])
        self._hits.append(hits)
        self._judged.append(hits.any(axis=1) | ~covered(found, boxes[regions], classes[regions]).numpy())

    def state(self) -> dict[str, Any]:
        return {
            "rows": np.concatenate(self._rows),
            "hits": np.concatenate(self._hits),
            "judged": np.concatenate(self._judged),
            "confusion": self._confusion.matrix,
            "outcomes": self._outcomes,
        }

    def merge(self, states: Iterable[Mapping[str, Any]]) -> None:
        states = list(states)
        rows = np.concatenate([state["rows"] for state in states])
        # By image, so that the order does not depend on the number of processes.
        order = np.argsort(rows[:, 0], kind="stable")
        self._rows = [rows[order]]
        self._hits = [np.concatenate([state["hits"] for state in states])[order]]
        self._judged = [np.concatenate([state["judged"] for state in states])[order]]
        self._confusion.matrix = sum(state["confusion"] for state in states)
        self._outcomes = {index: outcome for state in states for index, outcome in state["outcomes"].items()}

    def evaluation(self) -> Evaluation:
        rows = np.concatenate(self._rows)
        metrics = evaluate_detections(self._images.ground_truth, rows, self._options.evaluation())
        own = self._own_precision(rows)
        values = {**metrics.row(), **own.scalars()}
        classes = self._images.classes
        by_id = {found.category_id: found for found in metrics.classes}
        # Classes that are judged as one have no rows of their own.
        ids = () if self._options.class_agnostic else self._images.dataset.category_ids
        rows_of_classes = tuple(_row(by_id[id], own.of_class(label)) for label, id in enumerate(ids))
        return Evaluation(
            scalars={name: value for name, value in values.items() if value is not None},
            undefined=tuple(name for name, value in values.items() if value is None),
            classes=classes,
            rows=rows_of_classes,
            confusion=torch.from_numpy(self._confusion.matrix),
            outcomes=(*classes, "background"),
            confusion_note=f"detections of a score from {self._confusion.min_score} and an IoU from "
            f"{self._confusion.min_iou}",
            counts=_counts(metrics, self._images),
            charts=charts_of(metrics, own.curves),
            files={
                "predictions.json": partial(predictions_json, rows),
                "ground_truth.json": partial(json.dumps, self._images.ground_truth),
                "images.csv": partial(_outcomes_csv, self._named_outcomes()),
            },
            order=tuple(values),
            protocol="; ".join([_protocol(self._options, self._images), *self._views]),
            warnings=tuple(limits_exceeded(self._images, self._options)),
            by_image=metrics.matches,
            # In the order of the evaluation: by their ids.
            images=tuple(image.name for image in sorted(self._images.dataset.images, key=lambda image: image.id)),
        )

    def _named_outcomes(self) -> list[tuple[str, int, Outcome]]:
        """Name, id and outcome of every image that was judged, in the order of the data set."""
        images = self._images.dataset.images
        return [(images[index].name, images[index].id, outcome) for index, outcome in sorted(self._outcomes.items())]

    def _own_precision(self, rows: NDArray[np.float64]) -> ReferencePrecision:
        dataset, judged = self._images.dataset, np.concatenate(self._judged)
        hits, rows = np.concatenate(self._hits)[judged], rows[judged]
        numbers = {category: class_ for class_, category in enumerate(dataset.category_ids)}
        found = np.array([numbers[int(category)] for category in rows[:, 6]], np.float64)
        objects = dataset.objects
        labels = objects.classes[objects.counted].astype(np.float64)
        if self._options.class_agnostic:
            found, labels = found * 0, labels * 0
        return average_precision(hits, rows[:, 5], found, labels)


def _outcomes_csv(outcomes: Sequence[tuple[str, int, Outcome]]) -> str:
    """A row per image, those with the most errors first."""
    table = Table(("image", "image_id", *Outcome._fields))
    for name, number, outcome in sorted(outcomes, key=lambda entry: -entry[2].errors):
        table.add(name, str(number), *map(str, outcome))
    return table.csv()


def _row(found: ClassMetrics, at_best_score: Mapping[str, float | None]) -> dict[str, float | None]:
    """The row of one class in the table."""
    sizes = {f"AP_{size}": value for size, value in found.ap_by_size.items()}
    counts = {f"objects_{size}": count for size, count in found.objects_by_size.items()}
    means = {"AP": found.ap, "AP50": found.ap50, "AP75": found.ap75, **sizes, "AR": found.ar}
    return {**means, **at_best_score, "objects": found.objects, **counts}


def _protocol(options: JudgingOptions, images: DetectionImages) -> str:
    shape = "rectangular batches" if options.rectangular else "squares"
    sizes = ", ".join(f"{size.name} {size.low:g} to {size.high:g}" for size in options.bins)
    cut = f" of tiles of {images.tiling.size}" if images.tiles else ""
    judged = " of all classes as one" if options.class_agnostic else ""
    if images.annotated is not None:
        judged += f" of {len(images.annotated)} of the {len(images.classes)} classes, those of the data"
    return (
        f"COCO's AP{judged} by {options.backend}: {shape}{cut}, scores from {options.nms.min_score:g}, NMS at IoU "
        f"{options.nms.max_iou:g}, {options.max_detections} detections of a class in an image; sizes in pixels: {sizes}"
    )


def _counts(metrics: DetectionMetrics, images: DetectionImages) -> dict[str, int]:
    sizes = {f"objects_{size}": count for size, count in metrics.objects_by_size.items()}
    tiles = {"tiles": len(images.tiles.places)} if images.tiles else {}
    return {"images": metrics.images, **tiles, "objects": metrics.objects, **sizes, "detections": metrics.detections}

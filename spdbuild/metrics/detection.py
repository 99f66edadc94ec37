"""The one evaluator of detections, for data of every format: COCO's average precision and recall."""

from __future__ import annotations

import contextlib
import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spdbuild.boxes.size_bins import COCO_SIZES, SizeBin
from spdbuild.errors import ArgumentError, DataError
from spdbuild.metrics.by_image.matches import DECIMALS, Matches, matches_of, mean
from spdbuild.metrics.coco import CocoDict

Backend = Literal["pycocotools", "faster-coco-eval"]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """How detections are judged; the defaults are COCO's.

    sizes: the bins for which precision and recall are given too.
    max_detections: numbers of detections per image and category at which recall is given; precision is given at the
        largest.
    class_agnostic: whether a detection may have any class.
    backend: the library that matches; faster-coco-eval, an extra, gives the same numbers faster, but not the results
        by image, which intervals over images are computed from.
    """

    sizes: tuple[SizeBin, ...] = COCO_SIZES
    max_detections: tuple[int, ...] = (1, 10, 100)
    class_agnostic: bool = False
    backend: Backend = "pycocotools"


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """One category; None where it has no objects (of that size).

    ap: at IoU 0.50 to 0.95 in steps of 0.05; ap50, ap75: at one IoU. ar: at the same ten, with the most detections.
    objects: how many there are, crowd regions left out; by size: the same.
    """

    name: str
    category_id: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_by_size: Mapping[str, float | None]
    ar: float | None
    objects: int
    objects_by_size: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DetectionMetrics:
    """Means over categories, as fractions; None where there is no object to find, shown as "n/a".

    ap: at IoU 0.50 to 0.95 in steps of 0.05; ap50, ap75: at one IoU.
    ar: by detections per image and category, at IoU 0.50 to 0.95; ar_by_size: with the most detections.
    precision: [K, 101] at recall 0, 0.01 to 1 and IoU 0.5, NaN for a category without objects.
    matches: the outcome of each detection; None with a backend that does not tell.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_by_size: Mapping[str, float | None]
    ar: Mapping[int, float | None]
    ar_by_size: Mapping[str, float | None]
    classes: tuple[ClassMetrics, ...]
    images: int
    objects: int
    objects_by_size: Mapping[str, int]
    detections: int
    precision: Array = field(compare=False, repr=False)
    matches: Matches | None = field(compare=False, repr=False)

    def row(self) -> dict[str, float | None]:
        """The means under the names of COCO: AP, AP50, AP75, AP_S, ..., AR1, AR10, AR100, AR_S, ..."""
        return {
            "AP": self.ap,
            "AP50": self.ap50,
            "AP75": self.ap75,
            **{f"AP_{size}": value for size, value in self.ap_by_size.items()},
            **{f"AR{limit}": value for limit, value in self.ar.items()},
            **{f"AR_{size}": value for size, value in self.ar_by_size.items()},
        }


def evaluate_detections(
    ground_truth: CocoDict, rows: Array, options: EvaluationOptions | None = None
) -> DetectionMetrics:
    """Judge detections against the ground truth.

    ground_truth: COCO dictionary with images, categories and annotations; an annotation without an area has that of its
        box, one without `iscrowd` is not a crowd. As in COCO, a detection on a crowd region is ignored.
    rows: [D, 7] detections: image id, left, top, width, height (pixels), score, category id.
    """
    options = options or EvaluationOptions()
    _check_rows(ground_truth, rows)
    truth = _normalised(ground_truth, options.class_agnostic)
    found = {**truth, "annotations": _found_annotations(rows, options.class_agnostic)}
    return _metrics(truth, rows, _judged(truth, found, options), options)


def _check_rows(ground_truth: CocoDict, rows: Array) -> None:
    if rows.ndim != 2 or rows.shape[1] != 7:
        raise DataError(f"detections must be rows of 7 numbers, got an array of shape {list(rows.shape)}")
    for column, section, what in ((0, "images", "image"), (6, "categories", "category")):
        unknown = set(rows[:, column].tolist()) - {entry["id"] for entry in ground_truth[section]}
        if unknown:
            raise DataError(
                f"{len(unknown)} {what} ids of the detections are not in the ground truth, among them {min(unknown):g}",
                hint=f"map the detections to the {what} ids of the annotations",
            )


def _normalised(ground_truth: CocoDict, class_agnostic: bool) -> dict[str, Any]:
    """What the backends need and nothing more; they write into it, so the caller's dictionary is copied."""
    # Annotations are numbered from 1, because the backends take a match with number 0 for no match.
    annotations = [
        {
            "id": number,
            "image_id": given["image_id"],
            "category_id": 0 if class_agnostic else given["category_id"],
            "bbox": given["bbox"],
            "area": given.get("area", given["bbox"][2] * given["bbox"][3]),
            "iscrowd": given.get("iscrowd", 0),
        }
        for number, given in enumerate(ground_truth["annotations"], start=1)
    ]
    categories = [{"id": entry["id"], "name": entry["name"]} for entry in ground_truth["categories"]]
    return {
        "images": [{"id": image["id"]} for image in ground_truth["images"]],
        "categories": [{"id": 0, "name": "object"}] if class_agnostic else sorted(categories, key=lambda c: c["id"]),
        "annotations": annotations,
    }


def _found_annotations(rows: Array, class_agnostic: bool) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": int(image_id),
            "category_id": 0 if class_agnostic else int(category_id),
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "score": score,
        }
        for number, (image_id, *box, score, category_id) in enumerate(rows.tolist(), start=1)
    ]


def _judged(truth: dict[str, Any], found: dict[str, Any], options: EvaluationOptions) -> Any:
    """The backend's finished evaluation: precision [T, R, K, S, M] and recall [T, K, S, M], -1 without any object.

    T IoU thresholds, R recalls, K categories, S sizes, the first of them all sizes, M numbers of detections.
    """
    index, evaluation = _backend(options.backend)
    with contextlib.redirect_stdout(io.StringIO()):
        job = evaluation(*(_indexed(index(), dataset) for dataset in (truth, found)), "bbox")
        ranges = [(0, 1e10), *(size.areas for size in options.sizes)]
        job.params.areaRng = [list(bounds) for bounds in ranges]
        job.params.areaRngLbl = ["all", *(size.name for size in options.sizes)]
        job.params.maxDets = sorted(options.max_detections)
        job.evaluate()
        job.accumulate()
    return job


def _matches(job: Any, options: EvaluationOptions) -> Matches | None:
    """The matches that the evaluation is computed from, if its backend keeps them."""
    if options.backend != "pycocotools":
        return None
    names, params = [size.name for size in options.sizes], job.params
    numbers = len(params.catIds), len(params.imgIds)
    return matches_of(job.evalImgs, *numbers, names, len(params.iouThrs), params.maxDets[-1])


def _backend(name: Backend) -> tuple[Any, Any]:
    """The backend's class of an indexed data set and its class of an evaluation."""
    if name == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        return COCO, COCOeval
    try:
        module = importlib.import_module("faster_coco_eval")
    except ImportError as error:
        raise ArgumentError(
            "the evaluation backend faster-coco-eval is not installed",
            argument="backend",
            hint='pip install "spdbuild[fast-coco]"',
        ) from error
    return module.COCO, module.COCOeval_faster


def _indexed(coco: Any, dataset: dict[str, Any]) -> Any:
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _metrics(truth: dict[str, Any], rows: Array, job: Any, options: EvaluationOptions) -> DetectionMetrics:
    precision, recall = np.asarray(job.eval["precision"]), np.asarray(job.eval["recall"])
    names = [size.name for size in options.sizes]
    limits = sorted(options.max_detections)
    best = precision[..., -1]  # [T, R, K, S]
    counts = _counts(truth, options.sizes)
    total = [sum(column) for column in zip(*counts, strict=True)]
    return DetectionMetrics(
        ap=_mean(best[..., 0]),
        ap50=_mean(best[0, ..., 0]),
        ap75=_mean(best[5, ..., 0]),
        ap_by_size={name: _mean(best[..., s]) for s, name in enumerate(names, start=1)},
        ar={limit: _mean(recall[..., 0, m]) for m, limit in enumerate(limits)},
        ar_by_size={name: _mean(recall[..., s, -1]) for s, name in enumerate(names, start=1)},
        classes=tuple(
            _class_metrics(category, best[:, :, k], recall[:, k, 0, -1], counts[k], names)
            for k, category in enumerate(truth["categories"])
        ),
        images=len(truth["images"]),
        objects=total[0],
        objects_by_size=dict(zip(names, total[1:], strict=True)),
        detections=len(rows),
        precision=np.where(best[0, ..., 0].T > -1, best[0, ..., 0].T.round(DECIMALS), np.nan),
        matches=_matches(job, options),
    )


def _class_metrics(
    category: Mapping[str, Any], precision: Array, recall: Array, counts: Sequence[int], sizes: Sequence[str]
) -> ClassMetrics:
    """One category from its precision [T, R, S] and its recall [T]."""
    return ClassMetrics(
        name=category["name"],
        category_id=category["id"],
        ap=_mean(precision[..., 0]),
        ap50=_mean(precision[0, :, 0]),
        ap75=_mean(precision[5, :, 0]),
        ap_by_size={name: _mean(precision[..., s]) for s, name in enumerate(sizes, start=1)},
        ar=_mean(recall),
        objects=counts[0],
        objects_by_size=dict(zip(sizes, counts[1:], strict=True)),
    )


def _counts(truth: dict[str, Any], sizes: Sequence[SizeBin]) -> list[list[int]]:
    """Per category the number of objects, of all and of each size."""
    areas: dict[int, list[float]] = {category["id"]: [] for category in truth["categories"]}
    for annotation in truth["annotations"]:
        if not annotation["iscrowd"]:
            areas[annotation["category_id"]].append(annotation["area"])
    columns = [np.array(own, np.float64) for own in areas.values()]
    return [[len(own), *(int(size.holds(own).sum()) for size in sizes)] for own in columns]


def _mean(values: Array) -> float | None:
    """The mean of the defined values; the backends mark the others by -1."""
    return mean(np.where(values > -1, values, np.nan))

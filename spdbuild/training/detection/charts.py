"""Charts of one evaluation of a detector: precision over recall, and precision, recall and F1 over the score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from spdbuild.charts.chart import Chart, Line
from spdbuild.metrics.curves import ScoreCurves
from spdbuild.metrics.detection import DetectionMetrics

#: If there are more classes, only the best and the worst are shown, half of this number each.
_MOST_CLASSES = 20


def charts_of(metrics: DetectionMetrics, curves: ScoreCurves) -> dict[str, Chart]:
    """Both charts by the name of their picture; none where there is no object to find."""
    if metrics.ap50 is None:
        return {}
    return {"precision_over_recall": _over_recall(metrics), "metrics_over_score": _over_score(curves)}


def _over_recall(metrics: DetectionMetrics) -> Chart:
    """A line per class, the best first, and their mean; each with its AP50, which is its average height."""
    recall = np.linspace(0, 1, metrics.precision.shape[1]).tolist()
    pairs = zip(metrics.classes, metrics.precision, strict=True)
    found = sorted(
        ((own.ap50, own.name, row) for own, row in pairs if own.ap50 is not None), key=lambda entry: -entry[0]
    )
    mean = np.mean([row for _, _, row in found], axis=0)
    lines = {f"mean of {len(found)}  {metrics.ap50:.3f}": Line(recall, mean.tolist(), thick=True)}
    half, note = _MOST_CLASSES // 2, "classes with their AP50"
    if len(found) > _MOST_CLASSES:
        note = f"AP50 of the {half} best and the {half} worst classes of {len(found)}"
        found = [*found[:half], *found[-half:]]
    if len(found) > 1 or len(metrics.classes) > 1:
        lines |= {f"{name}  {ap50:.3f}": Line(recall, row.tolist()) for ap50, name, row in found}
    return Chart("Precision over recall at IoU 0.50", "recall", "precision", lines, "share", "share", note)


def _over_score(curves: ScoreCurves) -> Chart:
    """Means over the classes; no precision where nothing is detected."""
    at = float(curves.scores[curves.best])
    means: dict[str, NDArray[np.float64]] = {
        "precision": curves.mean_precision,
        "recall": curves.recall.mean(axis=0),
        "F1": curves.f1.mean(axis=0),
    }
    lines = {name: Line(curves.scores.tolist(), line.tolist()) for name, line in means.items()}
    note = f"highest F1 {means['F1'].max():.3f} at score {at:.3f}"
    title = "Precision, recall and F1 at IoU 0.50"
    return Chart(title, "lowest score that counts", "mean of the classes", lines, "share", "share", note)

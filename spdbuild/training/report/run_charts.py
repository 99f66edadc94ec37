"""The charts of a run's metrics over its epochs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spdbuild.charts.chart import Chart, Line, Scale

Rows = Sequence[Mapping[str, Any]]
#: Columns of a row that are not measurements.
_COUNTERS = ("epoch", "step", "seconds")
#: Lines by column and by the name of the run.
_Lines = dict[tuple[str, str], Line]
LOSSES, METRICS, OTHERS = "Losses", "Metrics", "Speed and learning rate"
SECTIONS = (LOSSES, METRICS, OTHERS)


@dataclass(frozen=True)
class _Kind:
    """Metrics that share a chart: those whose full names match the pattern.

    picture, title: `{0}` stands for the metric's name, if each metric has a chart of its own.
    """

    pattern: str
    picture: str
    title: str
    unit: str
    section: str = METRICS
    scale: Scale = "share"


#: The first match counts.
_KINDS = (
    _Kind(r"loss", "loss", "Loss", "loss", LOSSES, "adaptive"),
    _Kind(r"(.+)_loss", "{0}_loss", "Loss: {0}", "loss", LOSSES, "adaptive"),
    _Kind(r"distance", "distance", "Distance from the teacher", "distance", LOSSES, "adaptive"),
    _Kind(r"top1", "top1", "Top-1 accuracy", "share of the images"),
    _Kind(r"top5", "top5", "Top-5 accuracy", "share of the images"),
    _Kind(r"mean_class_top1", "mean_class_top1", "Top-1 accuracy, mean of the classes", "share of the images"),
    _Kind(r"mean_class_f1", "mean_class_f1", "F1, mean of the classes", "F1"),
    _Kind(r"AP|AP50|AP75", "AP", "Average precision", "average precision"),
    _Kind(r"AP_.+", "AP_by_size", "Average precision by size of the objects", "average precision"),
    _Kind(r"AR\d+", "AR", "Average recall by detections per image", "average recall"),
    _Kind(r"AR_.+", "AR_by_size", "Average recall by size of the objects", "average recall"),
    _Kind(r"precision|recall|F1|best_score", "F1", "Precision and recall at the score of the highest F1", "share"),
    _Kind(r"fitness", "fitness", "Fitness, which picks the best weights: 0.1 AP50 + 0.9 AP", "fitness"),
    _Kind(r"lr", "learning_rate", "Learning rate at the end of the epoch", "learning rate", OTHERS, "linear"),
    _Kind(r"images_per_second", "speed", "Speed of the training", "images a second", OTHERS, "linear"),
    _Kind(r"(.+)", "{0}", "{0}", "{0}", METRICS, "linear"),
)


@dataclass(frozen=True)
class Picture:
    """A chart and the section of the report in which it stands."""

    section: str
    chart: Chart


def run_charts(rows: Rows, twins: Mapping[str, Rows] | None = None) -> dict[str, Picture]:
    """Charts over the epochs by file name, in the order of the sections.

    rows: of metrics.jsonl. twins: rows of the runs that it is compared with, by name; their lines are dashed.
    """
    found: dict[str, tuple[_Kind, str, _Lines]] = {}
    for number, (run, own) in enumerate({"": rows, **(twins or {})}.items()):
        for column in dict.fromkeys(name for row in own for name in row if name not in _COUNTERS):
            kind, group = _kind(column.split("/")[-1])
            line = Line([row["epoch"] for row in own], [_value(row, column) for row in own], column, number)
            found.setdefault(kind.picture.format(group), (kind, group, {}))[2][column, run] = line
    pictures = {name: Picture(kind.section, _chart(kind, group, lines)) for name, (kind, group, lines) in found.items()}
    return dict(sorted(pictures.items(), key=lambda item: SECTIONS.index(item[1].section)))


def _value(row: Mapping[str, Any], column: str) -> float | None:
    """None where nothing was measured; what was no number is null in a file, and interrupts a line as NaN."""
    if column not in row:
        return None
    value: float | None = row[column]
    return math.nan if value is None else value


def _kind(metric: str) -> tuple[_Kind, str]:
    """The kind of a metric, and the text that replaces its `{0}`."""
    kind, match = next((kind, match) for kind in _KINDS if (match := re.fullmatch(kind.pattern, metric)))
    return kind, match.group(match.lastindex or 0)


def _chart(kind: _Kind, group: str, lines: _Lines) -> Chart:
    """The chart of some columns; a line is named by what distinguishes it from the others: split, metric and run."""
    columns = dict.fromkeys(column for column, _ in lines)
    differing = [part for part in (0, -1) if len({column.split("/")[part] for column in columns}) > 1]
    named = {}
    for (column, run), line in lines.items():
        own = " ".join(column.split("/")[part] for part in differing)
        named[", ".join(filter(None, (own, run))) or "this run"] = line
    return Chart(kind.title.format(group), "epoch", kind.unit.format(group), named, "epochs", kind.scale)

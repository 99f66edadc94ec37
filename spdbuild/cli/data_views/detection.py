"""How data sets for detection are shown: the splits for training and evaluation, and a third where there is one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from PIL.Image import Image

from spdbuild.cli.data_views.view import View
from spdbuild.cli.tables import Table
from spdbuild.data.detection import check as checking
from spdbuild.data.detection import statistics
from spdbuild.data.detection.dataset import DetectionSplit, splits_of
from spdbuild.data.detection.statistics import DetectionStatistics, draw_statistics
from spdbuild.drawing import arrange

# What `data check` and `data stats` cannot do without: what training reads.
_NEEDED: tuple[DetectionSplit, ...] = ("train", "val")


def check(data_set: Any) -> View:
    """What is wrong with images and annotations."""
    reports = {split: checking.check(images) for split, images in splits_of(data_set, _NEEDED).items()}
    sound = all(report.sound for report in reports.values())
    lines = [f"{split}: {line}" for split, report in reports.items() for line in report.lines()]
    return View("\n".join(lines), {"sound": sound, "splits": {s: asdict(r) for s, r in reports.items()}}, sound)


def stats(data_set: Any) -> View:
    """How many objects of each class and size."""
    splits = {split: statistics.statistics(images) for split, images in splits_of(data_set, _NEEDED).items()}
    text = "".join(f"{split}: {_text(counts)}\n" for split, counts in splits.items())
    return View(text.rstrip("\n"), {split: asdict(counts) for split, counts in splits.items()})


def plot(data_set: Any) -> Image:
    """The counts of each split as bars, side by side."""
    charts = [
        draw_statistics(statistics.statistics(images), split) for split, images in splits_of(data_set, _NEEDED).items()
    ]
    return arrange(charts, columns=len(charts))


def _text(counts: DetectionStatistics) -> str:
    bins = list(counts.by_size)
    table = Table(["class", "images", *bins], numbers=["images", *bins])
    for name, cells in counts.by_class.items():
        table.add(name, f"{counts.images_by_class[name]:,}", *(f"{count:,}" for count in cells.values()))
    table.add("all", f"{counts.images:,}", *(f"{count:,}" for count in counts.by_size.values()))
    twice = sum(counts.by_size.values()) - counts.objects
    note = f", {twice:,} on the limit of two sizes and counted in both" if twice > 0 else ""
    regions = [
        f"{number:,} {kind}" for kind, number in (("crowd", counts.crowd), ("ignored", counts.ignored)) if number
    ]
    apart = f" ({' and '.join(regions)} regions apart)" if regions else ""
    return f"{counts.objects:,} objects{apart}{note}, {counts.background:,} images without any\n{table.plain()}"

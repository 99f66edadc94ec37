"""How data sets for detection are shown: the splits for training and evaluation, and a third where there is one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from PIL.Image import Image

from spdbuild.cli.data_views.view import View
from spdbuild.data.detection import check as checking
from spdbuild.data.detection import findings, statistics
from spdbuild.data.detection.dataset import DetectionSplit, splits_of
from spdbuild.data.detection.statistics import DetectionStatistics, draw_statistics
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.division.folds import division
from spdbuild.errors import UnsplitError
from spdbuild.pictures.drawing import arrange
from spdbuild.wording.tables import Table

# The splits that `data check` and `data stats` require of a data set that is split: those that training reads.
_NEEDED: tuple[DetectionSplit, ...] = ("train", "val")


def check(data_set: Any) -> View:
    """What is wrong with images and annotations."""
    splits, missing = _splits(data_set)
    reports = checking.check_splits(splits)
    sound = all(report.sound for report in reports.values())
    lines = [f"{split}: {line}" for split, report in reports.items() for line in report.lines()]
    documents = {split: asdict(report) for split, report in reports.items()}
    text = "\n".join([*lines, *_division(data_set, splits), *_missing_lines(missing)])
    return View(text, {"sound": sound, "splits": documents | _missing_documents(missing)}, sound)


def stats(data_set: Any) -> View:
    """How many objects of each class and size."""
    splits, missing = _splits(data_set)
    counts = {split: statistics.statistics(images) for split, images in splits.items()}
    lines = [f"{split}: {_text(of_split)}" for split, of_split in counts.items()]
    read = {split: findings.summary(findings.count(images.findings)) for split, images in splits.items()}
    lines += [f"{split}: found in reading: {found}" for split, found in read.items() if found]
    documents = {split: asdict(of_split) for split, of_split in counts.items()}
    text = "\n".join([*lines, *_division(data_set, splits), *_missing_lines(missing)])
    return View(text.rstrip("\n"), documents | _missing_documents(missing))


def plot(data_set: Any) -> Image:
    """The counts of each split as bars, side by side."""
    splits, _ = _splits(data_set)
    charts = [draw_statistics(statistics.statistics(images), split) for split, images in splits.items()]
    return arrange(charts, columns=len(charts))


def _splits(data_set: Any) -> tuple[dict[str, DetectionSet], dict[str, str]]:
    """Every split that exists; for a data set that is not split, also why it has none to evaluate on."""
    try:
        return splits_of(data_set, _NEEDED), {}
    except UnsplitError as error:
        return splits_of(data_set), {"val": error.problems[0].message}


def _division(data_set: Any, splits: dict[str, DetectionSet]) -> list[str]:
    """How the training images were divided, if they were."""
    if "val" not in splits:
        return []
    trained, held_out = ([image.name for image in splits[split].images] for split in _NEEDED)
    told = division(data_set, trained, held_out)
    return [told] if told else []


def _missing_lines(missing: dict[str, str]) -> list[str]:
    return [f"{split}: there is none: {reason}" for split, reason in missing.items()]


def _missing_documents(missing: dict[str, str]) -> dict[str, dict[str, str]]:
    return {split: {"missing": reason} for split, reason in missing.items()}


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

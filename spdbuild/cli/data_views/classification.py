"""How data sets for classification are shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from spdbuild.cli.data_views.view import View, listed
from spdbuild.data.dataset import FileDataSet, splits_of
from spdbuild.data.division.folds import listed_division
from spdbuild.data.overview import checking, statistics
from spdbuild.data.overview.checking import SplitCheck
from spdbuild.data.overview.statistics import SplitStatistics
from spdbuild.wording.phrases import number, some
from spdbuild.wording.tables import Table


def check(data_set: Any) -> View:
    """What is in the files."""
    report = checking.check(data_set)
    lines = [line for name, split in report.splits.items() for line in _split_lines(name, split)]
    lines += _division(data_set)
    if report.leaks:
        lines += [f"{number(len(report.leaks), 'image')} in more than one split:"]
        lines += listed(map(" = ".join, report.leaks))
    bad = sum(len(split.bad) for split in report.splits.values())
    if report.odd_sizes:
        lines += [*report.odd_sizes, f"training needs one size: {report.advice}"]
    if bad or report.sound:
        lines.append(f"{number(bad, 'file')} cannot be used" if bad else "every file can be used")
    return View("\n".join(lines), {"sound": report.sound, **asdict(report)}, report.sound)


def _split_lines(name: str, split: SplitCheck) -> list[str]:
    least, most = min(split.classes.values()), max(split.classes.values())
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    lines = [
        f"{name}: {number(split.images, 'image')} in {len(split.classes)} classes, {each} a class",
        f"  sizes: {_counts(split.sizes)}",
        f"  modes: {_counts(split.modes)}",
    ]
    if split.bad:
        lines += [f"  {number(len(split.bad), 'bad file')}:"]
        lines += listed(f"{file} {reason}" for file, reason in split.bad.items())
    for files, what in ((split.dark, "of few grey levels"), (split.bands, "with bands left out")):
        if files:
            lines += [f"  {number(len(files), 'file')} {what}:"]
            lines += listed(f"{file} {reason}" for file, reason in files.items())
    if split.duplicates:
        lines += [f"  {number(len(split.duplicates), 'group')} of equal files:"]
        lines += listed(map(" = ".join, split.duplicates))
    return lines


def _counts(counts: dict[str, int]) -> str:
    return some((f"{name} ({count:,})" for name, count in counts.items()), 6)


def stats(data_set: Any) -> View:
    """How many images of each class, and what `normalize` needs."""
    splits = statistics.statistics(data_set)
    table = Table(["class", *splits], numbers=list(splits))
    for name in next(iter(splits.values())).classes:
        table.add(name, *(f"{split.classes[name]:,}" for split in splits.values()))
    table.add("all", *(f"{split.images:,}" for split in splits.values()))
    lines = [*_division(data_set), *(_line(name, split) for name, split in splits.items())]
    if any(split.size is None for split in splits.values()):
        lines.append(f"mean and std are of images of one size: {data_set.reading.odd_advice}")
    return View(table.plain() + "\n".join(lines), {name: asdict(split) for name, split in splits.items()})


def _division(data_set: Any) -> list[str]:
    """How the training images were divided, if they were: of class folders."""
    if not isinstance(data_set, FileDataSet):
        return []
    train, val = (data_set.listing(split) for split in splits_of(data_set)[:2])
    told = listed_division(data_set, train, val)
    return [told] if told else []


def _line(name: str, split: SplitStatistics) -> str:
    skipped = f", {split.skipped:,} skipped" if split.skipped else ""
    least, most = split.sizes
    if split.mean is None or split.std is None:
        widths, heights = (_range(low, high) for low, high in ((least[1], most[1]), (least[0], most[0])))
        return f"{name}: of several sizes, {widths} pixels wide and {heights} high{skipped}"
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (split.mean, split.std))
    return f"{name}: {least[1]}x{least[0]} pixels, mean [{mean}], std [{std}]{skipped}"


def _range(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"

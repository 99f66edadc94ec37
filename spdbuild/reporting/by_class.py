"""A metric of each class over the seeds of groups, read from the classes.csv of their runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from spdbuild.errors import InputError, UnknownNameError, nearest
from spdbuild.reporting.comparisons import Comparison
from spdbuild.reporting.groups import Group, Section, Spread
from spdbuild.reporting.reading import text_of
from spdbuild.reporting.run import Run

FILE = "classes.csv"
#: The column that says how often a class is there, in results of classifiers and of detectors.
_COUNTS = ("images", "objects")
#: Backends of the evaluation differ by rounding.
_ROUNDING = 1e-5

Rows = Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class ClassRow:
    """A class: how many of its images or objects there are, if that is known, and its metric.

    spreads: by the name of each group, over all its runs; None unless all of them have a value.
    differences: by the group and its reference, over the seeds, or folds and seeds, that both have; None likewise.
    """

    name: str
    count: int | None
    spreads: Mapping[str, Spread | None]
    differences: Mapping[tuple[str, str], Spread | None]

    def to_dict(self) -> dict[str, Any]:
        differences = [
            {"group": group, "reference": reference, **(spread.to_dict() if spread else {"n": 0})}
            for (group, reference), spread in self.differences.items()
        ]
        groups = {name: spread and spread.to_dict() for name, spread in self.spreads.items()}
        return {"class": self.name, "count": self.count, "groups": groups, "differences": differences}


@dataclass(frozen=True)
class ByClass:
    """A metric of the classes of a section. counted: what `count` of the rows counts; empty if nothing."""

    metric: str
    counted: str
    rows: tuple[ClassRow, ...]


@dataclass(frozen=True)
class Classes:
    """The metrics by class of a section, as far as its runs have them. lacking: why some runs have none."""

    tables: tuple[ByClass, ...] = ()
    lacking: tuple[str, ...] = ()


def by_class(
    sections: Sequence[Section], compared: Sequence[Sequence[Comparison]], metrics: Sequence[str]
) -> list[Classes]:
    """The metrics by class of each section; those that it does not have are left out.

    Raises InputError if no run has any results by class, and UnknownNameError for a metric that none has.
    """
    read, lacking = dict[str, Rows](), dict[str, str]()
    for run in (run for section in sections for run in section.runs):
        try:
            read[str(run.folder)] = _read(run)
        except InputError as error:
            lacking[str(run.folder)] = error.problems[0].message
    if not read:
        raise InputError("no run has results by class", trail=tuple(lacking.values()))
    known = list(dict.fromkeys(name for rows in read.values() for row in rows.values() for name in row))
    for name in metrics:
        if name not in known:
            raise UnknownNameError(f"no run has '{name}' by class", hint=nearest(name, known))
    return [
        Classes(
            tuple(_table(section, pairs, name, read) for name in metrics if _has(section, name, read)),
            tuple(lacking[str(run.folder)] for run in section.runs if str(run.folder) in lacking),
        )
        for section, pairs in zip(sections, compared, strict=True)
    ]


def _has(section: Section, metric: str, read: Mapping[str, Rows]) -> bool:
    rows = (row for run in section.runs for row in read.get(str(run.folder), {}).values())
    return any(metric in row for row in rows)


def _table(section: Section, pairs: Iterable[Comparison], metric: str, read: Mapping[str, Rows]) -> ByClass:
    known = [read[str(run.folder)] for run in section.runs if str(run.folder) in read]
    first = next(iter(known[0].values()), {})
    counted = next((name for name in _COUNTS if name in first), "")

    def of_run(run: Run, name: str) -> float | None:
        return read.get(str(run.folder), {}).get(name, {}).get(metric)

    def of_group(group: Group, name: str) -> Spread | None:
        return _spread([of_run(run, name) for run in group.runs])

    def of_pair(pair: Comparison, name: str) -> Spread | None:
        sides = [[of_run(side.of(trial), name) for trial in pair.trials] for side in (pair.group, pair.reference)]
        return _spread([_difference(own, other) for own, other in zip(*sides, strict=True)])

    pairs = tuple(pairs)
    rows = [
        ClassRow(
            name,
            int(count) if (count := known[0].get(name, {}).get(counted)) is not None else None,
            {group.name: of_group(group, name) for group in section.groups},
            {(pair.group.name, pair.reference.name): of_pair(pair, name) for pair in pairs},
        )
        for name in dict.fromkeys(name for rows in known for name in rows)
    ]
    return ByClass(metric, counted, tuple(rows))


def _spread(values: Sequence[float | None]) -> Spread | None:
    measured = tuple(value for value in values if value is not None)
    return Spread(measured) if len(measured) == len(values) else None


def _difference(own: float | None, other: float | None) -> float | None:
    return None if own is None or other is None else own - other


def _read(run: Run) -> Rows:
    """The results of each class; raises InputError if there are none, or not those of the run's metrics."""
    path = run.results / FILE
    if not path.is_file():
        raise InputError(f"{run.folder} has no results by class: there is no {path}")
    try:
        lines = list(csv.DictReader(text_of(path).splitlines(), strict=True))
        rows = {
            str(line.pop("class")): {name: _finite(cell) if cell else None for name, cell in line.items()}
            for line in lines
        }
    except (csv.Error, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
    _check(run, rows)
    return rows


def _finite(cell: str) -> float:
    """The number in a cell; raises ValueError if there is none, or if it is not finite."""
    if not math.isfinite(number := float(cell)):
        raise ValueError(f"'{cell}' is no finite number")
    return number


def _check(run: Run, rows: Rows) -> None:
    """Refuse rows that do not give the run's top1 or AP: an evaluation of other weights has overwritten them."""
    found = {}
    shares = [(top1, images) for row in rows.values() if (top1 := row.get("top1")) and (images := row.get("images"))]
    images = sum(row.get("images") or 0 for row in rows.values())
    if images:
        found["top1"] = sum(top1 * own for top1, own in shares) / images
    precisions = [value for row in rows.values() if (value := row.get("AP")) is not None]
    if precisions:
        found["AP"] = fmean(precisions)
    for name, value in found.items():
        known = run.summary.metrics.get(name)
        if known is not None and abs(value - known) > _ROUNDING:
            told = f"gives {name} {value:.6f} and the run says {known:.6f}"
            raise InputError(f"{run.results / FILE} {told}: it is of other weights or images")

"""The CSV tables of a report: all numbers, all differences, curves, and metrics by class."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, product

from spdbuild.reporting.by_class import Classes
from spdbuild.reporting.comparisons import Comparison, MetricDifference
from spdbuild.reporting.groups import Group, Section, Spread
from spdbuild.reporting.run import Run
from spdbuild.reporting.trials import folds_of, seeds_of
from spdbuild.wording.tables import Table

#: Facts of a summary that have columns of their own.
_COSTS = ("parameters", "macs", "precision", "device", "epochs", "planned_epochs", "steps", "seconds")
_BEST = ("monitor", "best", "best_epoch")
#: Of an evaluation: milliseconds of a call with one image, and where they were measured.
_TIMED = ("latency_ms", "latency_machine")


def runs_csv(sections: Sequence[Section]) -> str:
    """Numbers as they were measured; empty where a run has not measured something."""
    metrics = list(dict.fromkeys(name for section in sections for name in section.metrics))
    origin = ("commit", "machine", "command", "folder")
    told = ("data", "split", "weights", "runs", "fold", "seed")
    table = Table((*told, *metrics, *_COSTS, "images_per_second", *_BEST, *_TIMED, *origin))
    for section in sections:
        for group in section.groups:
            for run in group.runs:
                chosen = (run.evaluated.split, run.evaluated.weights) if run.evaluated else ("", "last")
                made = run.commit, run.machine, run.command, str(run.folder)
                table.add(section.title, *chosen, *_row(group, run, metrics), *made)
    return table.csv()


def _row(group: Group, run: Run, metrics: Sequence[str]) -> list[str]:
    measured = [run.summary.metrics.get(name) for name in metrics]
    costs = [getattr(run.summary, name) for name in _COSTS]
    best = [getattr(run.summary, name) for name in _BEST]
    speed = [run.timing.latency_ms.get("p50"), run.timing.machine] if run.timing else [None, None]
    values = [group.name, run.fold, run.seed, *measured, *costs, run.images_per_second, *best, *speed]
    return ["" if value is None else str(value) for value in values]


def differences_csv(sections: Sequence[Section], comparisons: Sequence[Sequence[Comparison]]) -> str:
    """A row per metric of each pair of groups; an interval is empty where there is none."""
    kinds = ("interval", "over_images", "over_images_and_seeds")
    ends = [f"{kind}_{end}" for kind in kinds for end in ("low", "high")]
    exact = ("deciding_images", "mcnemar_p", "mcnemar_p_holm")
    table = Table(
        ("data", "group", "reference", "metric", "folds", "seeds", "mean", *ends, "p", "p_holm", *exact, "verdict")
    )
    for section, pairs in zip(sections, comparisons, strict=True):
        for pair in pairs:
            for entry in pair.differences:
                names = section.title, pair.group.name, pair.reference.name, entry.metric
                table.add(*names, *_difference(entry), *_exact(pair, entry), entry.verdict)
    return table.csv()


def _difference(entry: MetricDifference) -> list[str]:
    trials = (" ".join(map(str, numbers)) for numbers in (folds_of(entry.values), seeds_of(entry.values)))
    intervals = (ends or ("", "") for ends in (entry.interval, entry.over_images, entry.over_both))
    values = [entry.mean, *chain.from_iterable(intervals), entry.p, entry.p_holm]
    return [*trials, *("" if value is None else str(value) for value in values)]


def _exact(pair: Comparison, entry: MetricDifference) -> list[str]:
    tests = " ".join(str(test.p) for test in entry.exact.values())
    return [str(pair.carriers.get(entry.metric, "")), tests, " ".join(map(str, entry.exact_holm.values()))]


def curves_csv(sections: Sequence[Section]) -> str:
    """A row per metric of each evaluation while a run was trained; nothing where there was no number."""
    table = Table(("data", "group", "fold", "seed", "epoch", "metric", "value"))
    for section in sections:
        for group in section.groups:
            for run in group.runs:
                for row, name in product(run.rows, section.metrics):
                    value = row.get(f"test/{name}")
                    if value is not None:
                        fold = "" if run.fold is None else str(run.fold)
                        table.add(section.title, group.name, fold, str(run.seed), str(row["epoch"]), name, str(value))
    return table.csv()


def by_class_csv(sections: Sequence[Section], classes: Sequence[Classes]) -> str:
    """A row per metric of each class and group, with the mean difference to its reference, if there is one."""
    apart = ("reference", "difference", "difference_deviation")
    table = Table(("data", "metric", "class", "count", "group", "seeds", "mean", "deviation", *apart))
    for section, found in zip(sections, classes, strict=True):
        for one in found.tables:
            for row in one.rows:
                references = {group: (name, spread) for (group, name), spread in row.differences.items()}
                for group in section.groups:
                    reference, difference = references.get(group.name, ("", None))
                    seeds = " ".join(map(str, group.seeds))
                    cells = [*_mean(row.spreads[group.name]), reference, *_mean(difference)]
                    count = "" if row.count is None else str(row.count)
                    table.add(section.title, one.metric, row.name, count, group.name, seeds, *cells)
    return table.csv()


def _mean(spread: Spread | None) -> list[str]:
    """The mean and the deviation."""
    values = [spread.mean, spread.deviation] if spread else [None, None]
    return ["" if value is None else str(value) for value in values]

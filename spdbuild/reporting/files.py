"""The files of a report: Markdown, and tables of all numbers and of all differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product

from spdbuild.reporting.by_class import Classes
from spdbuild.reporting.comparisons import Comparison
from spdbuild.reporting.groups import Group, Section, Spread
from spdbuild.reporting.parts import Part
from spdbuild.reporting.run import Run
from spdbuild.wording.tables import Table


def markdown(title: str, parts: Iterable[Part]) -> str:
    """The title and the parts; charts are only on the page."""
    blocks = [f"# {title}\n"]
    for part in parts:
        blocks += [f"## {part.title}\n", *(table.markdown() for table in part.tables)]
        blocks += ["".join(f"- {sentence}\n" for sentence in part.sentences)] if part.sentences else []
    return "\n".join(blocks)


#: Facts of a summary that have columns of their own.
_COSTS = ("parameters", "macs", "precision", "device", "epochs", "planned_epochs", "steps", "seconds")
_BEST = ("monitor", "best", "best_epoch")


def runs_csv(sections: Sequence[Section]) -> str:
    """Numbers as they were measured; empty where a run has not measured something."""
    metrics = list(dict.fromkeys(name for section in sections for name in section.metrics))
    origin = ("commit", "machine", "command", "folder")
    table = Table(("data", "split", "weights", "runs", "seed", *metrics, *_COSTS, "images_per_second", *_BEST, *origin))
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
    values = [group.name, run.seed, *measured, *costs, run.images_per_second, *best]
    return ["" if value is None else str(value) for value in values]


def differences_csv(sections: Sequence[Section], comparisons: Sequence[Sequence[Comparison]]) -> str:
    """A row per metric of each pair of groups; an interval is empty where there is none."""
    ends = ("interval_low", "interval_high", "over_images_low", "over_images_high", "deciding_images", "mcnemar_p")
    table = Table(("data", "group", "reference", "metric", "seeds", "mean", *ends, "verdict"))
    for section, pairs in zip(sections, comparisons, strict=True):
        for pair in pairs:
            for entry in pair.differences:
                of_metric = entry.metric, " ".join(map(str, entry.values)), str(entry.mean)
                intervals = map(str, (*(entry.interval or ("", "")), *(entry.over_images or ("", ""))))
                exact = " ".join(str(test.p) for test in entry.exact.values())
                told = *intervals, str(pair.carriers.get(entry.metric, "")), exact, entry.verdict
                table.add(section.title, pair.group.name, pair.reference.name, *of_metric, *told)
    return table.csv()


def curves_csv(sections: Sequence[Section]) -> str:
    """A row per metric of each evaluation while a run was trained; nothing where there was no number."""
    table = Table(("data", "group", "seed", "epoch", "metric", "value"))
    for section in sections:
        for group in section.groups:
            for run in group.runs:
                for row, name in product(run.rows, section.metrics):
                    value = row.get(f"test/{name}")
                    if value is not None:
                        table.add(section.title, group.name, str(run.seed), str(row["epoch"]), name, str(value))
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

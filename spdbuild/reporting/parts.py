"""A report as titles, sentences and tables, before it is printed or written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from spdbuild.charts.chart import Chart
from spdbuild.reporting.by_class import ByClass
from spdbuild.reporting.comparisons import Comparison, MetricDifference
from spdbuild.reporting.groups import Group, Section, Spread
from spdbuild.reporting.run import Run
from spdbuild.reporting.trials import folds_of, seeds_of
from spdbuild.training.result import number_text
from spdbuild.wording.tables import Table


@dataclass(frozen=True)
class Part:
    """What is below one heading: sentences, tables, and charts where there is room for them."""

    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()


def groups_table(section: Section, metrics: Sequence[str]) -> Table:
    """The metrics and the costs of the groups, a row each."""
    numbers = ("runs", *metrics, "parameters", "MACs", "training s", "images/s")
    table = Table(("group", *numbers), numbers)
    for group in section.groups:
        reached = [_spread(group.metric(name)) for name in metrics]
        times = _spread(group.seconds, 1), _spread(group.images_per_second, 0)
        table.add(group.name, str(len(group.runs)), *reached, f"{group.parameters:,}", f"{group.macs:,}", *times)
    return table


def differences_table(comparisons: Sequence[Comparison], metrics: Sequence[str]) -> Table:
    """How far groups are apart, with a row per metric."""
    shown = [entry for one in comparisons for entry in one.differences if entry.metric in metrics]
    folded = any(folds_of(entry.values) for entry in shown)
    resampled = any(entry.over_images for one in comparisons for entry in one.differences)
    # What is in none of the rows needs no column.
    optional = {
        "over images": resampled,
        "over images and seeds": any(entry.over_both for entry in shown),
        "p": any(entry.p_holm is not None for entry in shown),
        "Holm p": any(entry.p_holm is not None for entry in shown),
        "exact p": any(entry.exact for entry in shown),
        "Holm exact p": any(entry.exact_holm for entry in shown),
    }
    chosen = [name for name, there in optional.items() if there]
    folds = ["folds"] if folded else []
    numbers = ["fold by fold" if any(entry.over_folds for entry in shown) else "seed by seed", "mean", "95 % interval"]
    columns = ("difference", "metric", *folds, "seeds", *numbers, *chosen, "conclusion")
    table = Table(columns, (*numbers, *chosen))
    for comparison in comparisons:
        known = {entry.metric: entry for entry in comparison.differences}
        for entry in (known[name] for name in metrics if name in known):
            trials = [_numbers(folds_of(entry.values))] if folded else []
            trials += [_numbers(seeds_of(entry.values))]
            table.add(comparison.name, entry.metric, *trials, *_difference(entry, chosen), entry.verdict)
    return table


def timings_table(section: Section) -> Table:
    """How fast the networks of evaluations were, with a row for each machine and size of batches."""
    numbers = ("latency ms", "p99 ms", "batch", "images/s")
    table = Table(("inference of", *numbers, "machine"), numbers)
    for group in section.groups:
        for timing in group.timings:
            latency = (f"{timing.latency_ms[share]:.2f}" for share in ("p50", "p99"))
            speed = str(timing.batch), f"{timing.images_per_second:,.0f}"
            table.add(group.name, *latency, *speed, timing.machine)
    return table


def costs_table(comparisons: Sequence[Comparison]) -> Table:
    """The costs of groups as multiples of their references', and where their recipes differ."""
    names = tuple(comparisons[0].costs)
    table = Table(("cost", *names, "recipes differ in"), names)
    for comparison in comparisons:
        ratios = ["n/a" if ratio is None else f"x{ratio:.2f}" for ratio in comparison.costs.values()]
        table.add(comparison.name, *ratios, ", ".join(comparison.differing))
    return table


def class_tables(found: ByClass) -> list[Table]:
    """A metric of each class: the groups, and how far they are from what they are compared with."""
    groups, pairs = list(found.rows[0].spreads), list(found.rows[0].differences)
    counted = [found.counted] if found.counted else []
    reached = Table((f"{found.metric} of class", *counted, *groups), (*counted, *groups))
    names = [f"{group} - {reference}" for group, reference in pairs]
    apart = Table((f"difference in {found.metric}", *names), names)
    for row in found.rows:
        counts = ["n/a" if row.count is None else f"{row.count:,}"] if counted else []
        reached.add(row.name, *counts, *map(_spread, row.spreads.values()))
        apart.add(row.name, *(_spread(spread, sign="+") for spread in row.differences.values()))
    return [reached, apart] if pairs else [reached]


def runs_table(section: Section, metrics: Sequence[str]) -> Table:
    """Each run by itself, a row each."""
    folded = any(group.folds for group in section.groups)
    numbers = (*(["fold"] if folded else []), "seed", *metrics, "epochs", "training s", "images/s")
    table = Table(("run of", *numbers, "folder"), numbers)
    for group, run in _members(section):
        summary = run.summary
        reached = [number_text(summary.metrics.get(name)) for name in metrics]
        cut = f" of {summary.planned_epochs}" if summary.epochs < summary.planned_epochs else ""
        times = f"{summary.epochs}{cut}", f"{summary.seconds:,.1f}", f"{run.images_per_second:,.0f}"
        trial = [str(run.fold), str(run.seed)] if folded else [str(run.seed)]
        table.add(group.name, *trial, *reached, *times, str(run.folder))
    return table


def made_table(sections: Sequence[Section]) -> Table:
    """The command, the state of the program and the machine that each run was made with."""
    table = Table(("folder", "seed", "command", "commit", "machine"), ("seed",))
    for run in (run for section in sections for run in section.runs):
        table.add(str(run.folder), str(run.seed), run.command, run.commit, run.machine)
    return table


def _members(section: Section) -> Iterator[tuple[Group, Run]]:
    return ((group, run) for group in section.groups for run in group.runs)


def _spread(spread: Spread | None, decimals: int = 4, sign: str = "") -> str:
    """`0.9750 ± 0.0028`; the value alone where there is one."""
    if spread is None:
        return "n/a"
    mean = f"{spread.mean:{sign},.{decimals}f}"
    return mean if spread.deviation is None else f"{mean} ± {spread.deviation:,.{decimals}f}"


def _difference(entry: MetricDifference, chosen: Sequence[str]) -> list[str]:
    """The numbers of a row, with those of the `chosen` columns that not every table has."""
    each = ", ".join(f"{value:+.4f}" for value in entry.samples)
    told = {
        "over images": _interval(entry.over_images),
        "over images and seeds": _interval(entry.over_both),
        "p": _p_values(entry.p),
        "Holm p": _p_values(entry.p_holm),
        "exact p": _p_values(*(test.p for test in entry.exact.values())),
        "Holm exact p": _p_values(*entry.exact_holm.values()),
    }
    return [each, f"{entry.mean:+.4f}", _interval(entry.interval), *(told[name] for name in chosen)]


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _p_values(*values: float | None) -> str:
    return ", ".join(f"{value:.3g}" for value in values if value is not None) or "n/a"


def _interval(ends: tuple[float, float] | None) -> str:
    return "none" if ends is None else f"{ends[0]:+.4f} to {ends[1]:+.4f}"

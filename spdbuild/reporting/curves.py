"""Charts of the metrics of groups over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spdbuild.charts.chart import Chart, Line
from spdbuild.reporting.groups import Group, Section
from spdbuild.training.run_charts import run_charts


def curves(section: Section, metrics: Sequence[str]) -> list[Chart]:
    """A chart per metric with a line per group: the mean over its runs, up to the last epoch that all of them have."""
    return [chart for metric in metrics if (chart := _curve(section, metric)) is not None]


def _curve(section: Section, metric: str) -> Chart | None:
    column = f"test/{metric}"
    rows = {group.name: _means(group, column) for group in section.groups}
    measured = {name: own for name, own in rows.items() if own}
    if not measured:
        return None
    (picture,) = run_charts(
        [], {name: [{"epoch": x, column: y} for x, y in own] for name, own in measured.items()}
    ).values()
    # Each group has its own colour here; a run's report keeps colours for the metrics that share a chart.
    over = "folds and seeds" if any(group.folds for group in section.groups) else "seeds"
    lines = {name: Line([x for x, _ in own], [y for _, y in own], name) for name, own in measured.items()}
    return replace(picture.chart, title=f"{metric}, mean over the {over}", lines=lines)


def _means(group: Group, column: str) -> list[tuple[int, float]]:
    """The epochs with a value in all runs of a group, each with the mean of the values."""
    runs = [{int(row["epoch"]): row.get(column) for row in run.rows} for run in group.runs]
    found = []
    for epoch in sorted(set.intersection(*map(set, runs))):
        values = [value for run in runs if (value := run[epoch]) is not None]
        found += [(epoch, sum(values) / len(values))] if len(values) == len(runs) else []
    return found

"""Charts of the metrics of groups over the epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from spdbuild.charts.chart import Chart, Line
from spdbuild.reporting.groups import Group, Section
from spdbuild.training.report.run_charts import run_charts


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
    """The epochs that were evaluated in all runs of a group, each with the mean of the values.

    It is NaN where one of them is no number; empty if none is.
    """
    runs = [{int(row["epoch"]): row[column] for row in run.rows if column in row} for run in group.runs]
    found = []
    for epoch in sorted(set.intersection(*map(set, runs))):
        values = [math.nan if run[epoch] is None else float(run[epoch]) for run in runs]
        found.append((epoch, sum(values) / len(values)))
    return found if any(math.isfinite(mean) for _, mean in found) else []

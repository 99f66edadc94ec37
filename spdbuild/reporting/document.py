"""The JSON document of a report: all metrics, with the value of every run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from spdbuild.reporting.by_class import Classes
from spdbuild.reporting.comparisons import Comparison
from spdbuild.reporting.groups import Group, Section
from spdbuild.reporting.run import Run
from spdbuild.reporting.trials import folds_of

#: Facts of a summary that are copied as they are.
_FACTS = ("metrics", "counts", "monitor", "best", "best_epoch", "epochs", "planned_epochs", "steps", "seconds")


def section_document(
    section: Section, comparisons: Iterable[Comparison], classes: Classes, notes: Sequence[str]
) -> dict[str, Any]:
    """A section with its groups, their runs, and the pairs of groups."""
    return {
        "title": section.title,
        "split": section.evaluated.split if section.evaluated else None,
        "weights": section.evaluated.weights if section.evaluated else "last",
        "measured": dict(section.measured),
        "groups": [_group(group, section.metrics) for group in section.groups],
        "comparisons": [comparison.to_dict() for comparison in comparisons],
        "classes": {one.metric: [row.to_dict() for row in one.rows] for one in classes.tables},
        "notes": list(notes),
    }


def _group(group: Group, metrics: Iterable[str]) -> dict[str, Any]:
    spreads = {name: group.metric(name) for name in metrics}
    costs = {"seconds": group.seconds, "images_per_second": group.images_per_second}
    summary = group.runs[0].summary
    return {
        "name": group.name,
        "architecture": summary.architecture,
        "params": group.parameters,
        "macs": group.macs,
        "seeds": list(group.seeds),
        "folds": list(folds_of(group.trials)),
        "timings": [timing.to_dict() for timing in group.timings],
        "metrics": {name: spread and spread.to_dict() for name, spread in spreads.items()},
        **{name: spread and spread.to_dict() for name, spread in costs.items()},
        "runs": list(map(_run, group.runs)),
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "folder": str(run.folder),
        "seed": run.seed,
        "fold": run.fold,
        **{name: getattr(run.summary, name) for name in (*_FACTS, "device", "precision")},
        "images_per_second": run.images_per_second,
        "timing": run.timing and run.timing.to_dict(),
        "command": run.command,
        "commit": run.commit,
        "machine": run.machine,
    }

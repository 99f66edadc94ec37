"""The files of a report: Markdown, and tables of all numbers and of all differences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spdbuild.reporting.comparisons import Comparison
from spdbuild.reporting.groups import Group, Section
from spdbuild.reporting.parts import Part
from spdbuild.reporting.run import Run
from spdbuild.tables import Table


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
    made = ("commit", "machine", "command", "folder")
    table = Table(("data", "runs", "seed", *metrics, *_COSTS, "images_per_second", *_BEST, *made))
    for section in sections:
        for group in section.groups:
            for run in group.runs:
                table.add(
                    section.title, *_row(group, run, metrics), run.commit, run.machine, run.command, str(run.folder)
                )
    return table.csv()


def _row(group: Group, run: Run, metrics: Sequence[str]) -> list[str]:
    measured = [run.summary.metrics.get(name) for name in metrics]
    costs = [getattr(run.summary, name) for name in _COSTS]
    best = [getattr(run.summary, name) for name in _BEST]
    values = [group.name, run.seed, *measured, *costs, run.images_per_second, *best]
    return ["" if value is None else str(value) for value in values]


def differences_csv(sections: Sequence[Section], comparisons: Sequence[Sequence[Comparison]]) -> str:
    """A row per metric of each pair of groups; an interval is empty where there is none."""
    ends = ("interval_low", "interval_high", "over_images_low", "over_images_high")
    table = Table(("data", "group", "reference", "metric", "seeds", "mean", *ends, "verdict"))
    for section, pairs in zip(sections, comparisons, strict=True):
        for pair in pairs:
            for entry in pair.differences:
                of_metric = entry.metric, " ".join(map(str, entry.values)), str(entry.mean)
                intervals = map(str, (*(entry.interval or ("", "")), *(entry.over_images or ("", ""))))
                table.add(section.title, pair.group.name, pair.reference.name, *of_metric, *intervals, entry.verdict)
    return table.csv()

"""Runs that differ only in their seeds and folds, and groups of them that were measured in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from spdbuild.reporting.conditions import Conditions, all_conditions, differing, identity, measured, value_text
from spdbuild.reporting.finding import LeftOut
from spdbuild.reporting.intervals import deviation
from spdbuild.reporting.run import Evaluated, Run
from spdbuild.reporting.timing import Timing, mean_timings
from spdbuild.reporting.trials import Trial, listed, seeds_of


@dataclass(frozen=True)
class Spread:
    """Values of one quantity, one per run: mean, sample standard deviation (n - 1; None for one value) and ends."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        return deviation(self.values)

    def to_dict(self) -> dict[str, Any]:
        ends = {"lowest": min(self.values), "highest": max(self.values)}
        return {"n": len(self.values), "mean": self.mean, "deviation": self.deviation, **ends}


@dataclass(frozen=True)
class Group:
    """Runs of one recipe, one per seed, or per fold and seed, in their order."""

    name: str
    conditions: Conditions
    runs: tuple[Run, ...]

    @property
    def trials(self) -> tuple[Trial, ...]:
        return tuple(run.trial for run in self.runs)

    @property
    def seeds(self) -> tuple[int, ...]:
        return seeds_of(self.trials)

    @property
    def folds(self) -> int:
        """The number of folds of the cross-validation that the runs are of; 0: they are of none."""
        return self.runs[0].folds if self.runs[0].fold is not None else 0

    @property
    def parameters(self) -> int:
        return self.runs[0].summary.parameters

    @property
    def macs(self) -> int:
        """For one image, with all its tiles if images are looked at in tiles."""
        return self.runs[0].summary.macs_per_image

    @property
    def seconds(self) -> Spread | None:
        """Training time with evaluations; None if the runs were made on different machines."""
        return self._timed(lambda run: run.summary.seconds)

    @property
    def images_per_second(self) -> Spread | None:
        """In training; None if the runs were made on different machines."""
        return self._timed(lambda run: run.images_per_second)

    @property
    def timings(self) -> list[Timing]:
        """The mean speed of evaluations on each machine; empty if none was measured."""
        return mean_timings(run.timing for run in self.runs if run.timing is not None)

    def metric(self, name: str) -> Spread | None:
        """None unless all runs have measured it."""
        values = [value for run in self.runs if (value := run.summary.metrics.get(name)) is not None]
        return Spread(tuple(values)) if len(values) == len(self.runs) else None

    def of(self, trial: Trial) -> Run:
        """The run of one of `trials`."""
        return next(run for run in self.runs if run.trial == trial)

    def _timed(self, value: Callable[[Run], float]) -> Spread | None:
        alone = len({run.machine for run in self.runs}) == 1
        return Spread(tuple(map(value, self.runs))) if alone else None


@dataclass(frozen=True)
class Section:
    """Groups whose runs were evaluated on the same images in the same way; networks without passes come first."""

    title: str
    measured: Conditions
    groups: tuple[Group, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for group in self.groups for run in group.runs)

    @property
    def evaluated(self) -> Evaluated | None:
        """The split and the weights, if these are evaluations of runs; all have the same."""
        return self.groups[0].runs[0].evaluated

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics, in the order in which runs show them."""
        return tuple(dict.fromkeys(name for run in self.runs for name in run.summary.metrics))

    def shown(self, wanted: Sequence[str] = ()) -> tuple[str, ...]:
        """The metrics for tables: those that are wanted, else the average precisions of detectors, else all."""
        if wanted:
            return tuple(name for name in wanted if name in self.metrics)
        precisions = tuple(name for name in self.metrics if name in ("AP", "AP50", "AP75") or name.startswith("AP_"))
        return precisions or self.metrics


def make_sections(runs: Iterable[Run]) -> tuple[list[Section], list[LeftOut]]:
    """Sections in the order of their first runs; and runs left out because there is a newer one of their trial."""
    alike, left_out = _alike(tuple(runs))
    parts = dict[str, list[tuple[Conditions, list[Run]]]]()
    for known, members in alike:
        parts.setdefault(identity(measured(known)), []).append((known, members))
    facts = [measured(part[0][0]) for part in parts.values()]
    headings = [_title(part[0][1][0]) for part in parts.values()]
    titles = unique_names(headings, facts)
    names = iter(_names([entry for part in parts.values() for entry in part]))
    sections = [
        Section(title, fact, _ordered(Group(next(names), known, tuple(members)) for known, members in part))
        for title, fact, part in zip(titles, facts, parts.values(), strict=True)
    ]
    return sections, left_out


def _title(run: Run) -> str:
    """The name of the data, with the number of folds; for evaluations with the split and the weights."""
    name, evaluated = str(run.recipe["data"].get("name")), run.evaluated
    folds = f" in {run.folds} folds" if run.fold is not None else ""
    if evaluated is None:
        return name + folds
    weights = f"{evaluated.weights} weights" if evaluated.weights in ("best", "last") else evaluated.weights
    return f"{name} {evaluated.split}{folds} with {weights}"


def _alike(runs: Sequence[Run]) -> tuple[list[tuple[Conditions, list[Run]]], list[LeftOut]]:
    """Runs of the same recipe and images in order, with their conditions; and all but the newest of a trial."""
    found, left_out = dict[str, tuple[Conditions, dict[Trial, Run]]](), list[LeftOut]()
    for run, known in zip(runs, all_conditions(runs), strict=True):
        _, trials = found.setdefault(identity(known), (known, {}))
        other = trials.get(run.trial)
        if other is None:
            trials[run.trial] = run
            continue
        trials[run.trial] = newer = run if run.ended >= other.ended else other
        older = other if newer is run else run
        left_out.append(LeftOut(older.folder, _outdated(older, newer)))
    return [(known, [trials[trial] for trial in sorted(trials)]) for known, trials in found.values()], left_out


def _outdated(older: Run, newer: Run) -> str:
    """Why a run does not count beside a newer one of its trial."""
    told = listed((older.trial,))
    why = f"{newer.folder} is newer, of the same recipe and the same {told}, which counts once"
    known = "both have the same images" if newer.images else "whether both have the same images is not known"
    return f"{why}; {known}"


def _names(alike: Sequence[tuple[Conditions, list[Run]]]) -> list[str]:
    """Names of groups: that of the run with the lowest seed, which comes first.

    The evaluations of a group of runs have the name of the group: the headings tell them apart.
    """
    names = [members[0].name for _, members in alike]
    choices = [evaluated.choice if (evaluated := members[0].evaluated) else None for _, members in alike]
    for choice in set(choices):
        places = [place for place, other in enumerate(choices) if other == choice]
        unique = unique_names([names[place] for place in places], [alike[place][0] for place in places])
        for place, name in zip(places, unique, strict=True):
            names[place] = name
    return names


def _ordered(groups: Iterable[Group]) -> tuple[Group, ...]:
    """Networks without passes before others, cheap ones before expensive ones."""
    return tuple(sorted(groups, key=lambda group: (bool(group.conditions.get("passes")), group.macs, group.name)))


def unique_names(names: Sequence[str], several: Sequence[Conditions]) -> list[str]:
    """The names, each duplicate followed by what differs: `quickstart (epochs=12)`.

    several: the conditions that each name stands for, no two alike.
    """
    found = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        places = [i for i, other in enumerate(names) if other == name]
        paths = _distinguishing([several[i] for i in places])
        for i in places:
            told = ", ".join(f"{path}={value_text(several[i], path)}" for path in paths)
            found[i] = f"{name} ({told})"
    return found


def _distinguishing(several: Sequence[Conditions]) -> list[str]:
    """Key paths, no more than are needed, whose values distinguish all conditions."""
    chosen, told = list[str](), 1
    for path in [*differing(several), "architecture.yaml"]:
        apart = len({tuple(value_text(conditions, key) for key in (*chosen, path)) for conditions in several})
        if apart > told:
            chosen, told = [*chosen, path], apart
    return chosen

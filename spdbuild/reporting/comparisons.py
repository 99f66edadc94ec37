"""Two groups of runs, compared seed by seed: how far their metrics are apart, and how their costs compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from spdbuild.errors import UnknownNameError, nearest
from spdbuild.reporting.conditions import differing, value_text
from spdbuild.reporting.groups import Group, Section, Spread
from spdbuild.reporting.intervals import CONFIDENCE, interval, p_value
from spdbuild.reporting.mcnemar import McNemar
from spdbuild.reporting.trials import InFold, Trial, folds_of, seeds_of

#: What JSON calls the costs.
_KEYS = {"parameters": "params", "MACs": "macs", "training time": "seconds", "images/s": "images_per_second"}


@dataclass(frozen=True)
class MetricDifference:
    """A metric of a group minus that of its reference, for each seed that both have; in folds, for each fold and seed.

    folds: number of folds into which the images were divided; 0: they were not.
    over_images: interval of the mean over resampled images, if it was computed; over_both: over images and seeds.
    exact: for a share of the images, the test of each seed, if it was made.
    p_holm, exact_holm: p values with Holm's correction for the other comparisons of the metric, if there are some.
    """

    metric: str
    values: Mapping[Trial, float]
    folds: int = 0
    over_images: tuple[float, float] | None = None
    over_both: tuple[float, float] | None = None
    exact: Mapping[Trial, McNemar] = field(default_factory=dict)
    p_holm: float | None = None
    exact_holm: Mapping[Trial, float] = field(default_factory=dict)

    @property
    def over_folds(self) -> bool:
        """Whether the values are of several folds; the seeds of a single one are as good as those of any split."""
        return len(folds_of(self.values)) > 1

    @property
    def samples(self) -> list[float]:
        """The differences that count as one each: those of the seeds, or the means of the folds over their seeds."""
        if not self.over_folds:
            return list(self.values.values())
        by_fold = dict[int, list[float]]()
        for trial, value in self.values.items():
            assert isinstance(trial, InFold)
            by_fold.setdefault(trial.fold, []).append(value)
        return list(map(fmean, by_fold.values()))

    @property
    def mean(self) -> float:
        return fmean(self.samples)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean; None if the seeds or the folds cannot give one."""
        return interval(self.samples, self._overlap)

    @property
    def p(self) -> float | None:
        """That of the paired t-test of the same samples; None where there is no interval."""
        return p_value(self.samples, self._overlap)

    @property
    def _overlap(self) -> float:
        """The images of a fold per image that its run was trained on."""
        return 1 / (self.folds - 1) if self.over_folds else 0.0

    @property
    def verdict(self) -> str:
        """What may be concluded, in words."""
        count, ends = len(self.samples), self.interval
        several = f"{count} {'folds' if self.over_folds else 'seeds'}"
        if count == 1:
            return "no conclusion (one seed)"
        if ends is None:
            return f"no conclusion (the same difference in {several}: its spread is not known)"
        if ends[0] <= 0 <= ends[1]:
            return f"no conclusion ({several} are few)" if count == 2 else f"no difference shown ({several})"
        if self.p_holm is not None and self.p_holm > 1 - CONFIDENCE:
            return f"no difference shown among several comparisons ({several})"
        return f"{'higher' if ends[0] > 0 else 'lower'} ({several})"

    def to_dict(self) -> dict[str, Any]:
        ends, images, both = (ends and list(ends) for ends in (self.interval, self.over_images, self.over_both))
        return {
            "values": {str(trial): value for trial, value in self.values.items()},
            "mean": self.mean,
            "interval": ends,
            "p": self.p,
            "p_holm": self.p_holm,
            "interval_over_images": images,
            "interval_over_images_and_seeds": both,
            "mcnemar": {
                str(trial): {**test.to_dict(), "p_holm": self.exact_holm.get(trial)}
                for trial, test in self.exact.items()
            },
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Comparison:
    """A group and the one that it is compared with; they share seeds or, in a cross-validation, folds and seeds.

    differing: key paths in which their recipes differ. differences: of all metrics that both have, in their order.
    unresampled: why there are no intervals over images, if they were wanted: one reason per run.
    carriers: for each metric with such an interval the number of images that it rests on, or of their groups: those
        without which the networks do not differ or, for a mean over classes, those of the rarest class, if these are
        fewer.
    image_groups: how many groups of images were drawn, each as a whole; None if images were drawn one by one.
    """

    group: Group
    reference: Group
    differing: tuple[str, ...]
    differences: tuple[MetricDifference, ...]
    unresampled: tuple[str, ...] = ()
    carriers: Mapping[str, int] = field(default_factory=dict)
    image_groups: int | None = None

    @property
    def name(self) -> str:
        return f"{self.group.name} - {self.reference.name}"

    @property
    def trials(self) -> tuple[Trial, ...]:
        return _shared(self.group, self.reference)

    @property
    def seeds(self) -> tuple[int, ...]:
        return seeds_of(self.trials)

    @property
    def costs(self) -> dict[str, float | None]:
        """The costs of the group as multiples of its reference's; None where they cannot be compared."""
        group, reference = self.group, self.reference
        ratios = {"parameters": (group.parameters, reference.parameters), "MACs": (group.macs, reference.macs)}
        alone = len({run.machine for run in (*group.runs, *reference.runs)}) == 1
        times = {"training time": (group.seconds, reference.seconds)}
        times["images/s"] = group.images_per_second, reference.images_per_second
        return {name: _ratio(*pair) for name, pair in ratios.items()} | {
            name: _ratio(*map(_mean, pair)) if alone else None for name, pair in times.items()
        }

    def to_dict(self) -> dict[str, Any]:
        known = (self.reference.conditions, self.group.conditions)
        return {
            "group": self.group.name,
            "reference": self.reference.name,
            "seeds": list(self.seeds),
            "folds": list(folds_of(self.trials)),
            "differing": {path: [value_text(side, path) for side in known] for path in self.differing},
            "costs": {_KEYS[name]: ratio for name, ratio in self.costs.items()},
            "image_groups": self.image_groups,
            "differences": {
                entry.metric: {**entry.to_dict(), "deciding_images": self.carriers.get(entry.metric)}
                for entry in self.differences
            },
        }


def compare(section: Section, against: str | None = None) -> list[Comparison]:
    """Compare each group with the one before it that shares a seed and whose recipe is the most similar.

    So a converted network is compared with itself without passes or, if there is none, with the cheapest of its kind.
    against: the group that all others are compared with, if the section has it.
    """
    names = [group.name for group in section.groups]
    if against is not None:
        if against not in names:
            return []
        chosen = section.groups[names.index(against)]
        return [_compared(group, chosen) for group in section.groups if group is not chosen and _shared(group, chosen)]
    found = []
    for place, group in enumerate(section.groups):
        before = [other for other in section.groups[:place] if _shared(group, other)]
        if before:
            found.append(_compared(group, min(before, key=lambda other: len(_differing(group, other)))))
    return found


def check_reference(sections: Sequence[Section], against: str | None) -> None:
    """Refuse a name that no group has; raises UnknownNameError."""
    names = [group.name for section in sections for group in section.groups]
    if against is not None and against not in names:
        raise UnknownNameError(f"there is no group of runs '{against}'", hint=nearest(against, names))


def _compared(group: Group, reference: Group) -> Comparison:
    trials = _shared(group, reference)
    pairs = [tuple(side.of(trial).summary.metrics for side in (group, reference)) for trial in trials]
    differences = []
    for name in dict.fromkeys(name for own, _ in pairs for name in own):
        values = {}
        for trial, (own, other) in zip(trials, pairs, strict=True):
            one, two = own.get(name), other.get(name)
            if one is not None and two is not None:
                values[trial] = one - two
        differences += [MetricDifference(name, values, group.folds)] if values else []
    return Comparison(group, reference, tuple(_differing(group, reference)), tuple(differences))


def _differing(one: Group, other: Group) -> list[str]:
    return differing([other.conditions, one.conditions])


def _shared(one: Group, other: Group) -> tuple[Trial, ...]:
    return tuple(trial for trial in one.trials if trial in other.trials)


def _mean(spread: Spread | None) -> float:
    return spread.mean if spread else 0.0


def _ratio(value: float, of: float) -> float | None:
    return value / of if of else None

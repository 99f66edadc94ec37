"""Several comparisons at once: Holm's step-down correction of their p values.

Source: Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spdbuild.reporting.comparisons import Comparison, MetricDifference


def holm(values: Sequence[float]) -> list[float]:
    """Each p value as it is with the correction: the smallest times their number, the next times one less, and so on.

    None becomes smaller than that of a smaller p value, or larger than 1. If nothing differs, the probability that any
    of them is below 0.05 is at most 0.05, however the tests depend on each other.
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    found, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        found[index] = largest
    return found


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with the corrected p values of metrics of which there are several.

    Those of the means of a metric are one family, and those of all its exact tests another.
    """
    metrics = dict.fromkeys(entry.metric for one in comparisons for entry in one.differences)
    known = {name: _of_metric(comparisons, name) for name in metrics}
    means = {name: _corrected_means(entries) for name, entries in known.items()}
    both = {name: _corrected_exact(entries) for name, entries in means.items()}
    return [
        replace(one, differences=tuple(both[entry.metric][place] for entry in one.differences))
        for place, one in enumerate(comparisons)
    ]


def _of_metric(comparisons: Sequence[Comparison], name: str) -> dict[int, MetricDifference]:
    """The difference of each comparison that has one, by its place."""
    return {place: entry for place, one in enumerate(comparisons) for entry in one.differences if entry.metric == name}


def _corrected_means(entries: dict[int, MetricDifference]) -> dict[int, MetricDifference]:
    values = {place: entry.p for place, entry in entries.items() if entry.p is not None}
    if len(values) < 2:
        return entries
    found = dict(zip(values, holm(list(values.values())), strict=True))
    return {place: replace(entry, p_holm=found.get(place)) for place, entry in entries.items()}


def _corrected_exact(entries: dict[int, MetricDifference]) -> dict[int, MetricDifference]:
    values = {(place, trial): test.p for place, entry in entries.items() for trial, test in entry.exact.items()}
    if len({place for place, _ in values}) < 2:
        return entries
    found = dict(zip(values, holm(list(values.values())), strict=True))
    return {
        place: replace(entry, exact_holm={trial: found[place, trial] for trial in entry.exact})
        for place, entry in entries.items()
    }

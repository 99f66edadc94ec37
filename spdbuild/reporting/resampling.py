"""How far differences depend on which images the networks were tested on: the paired bootstrap.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 6 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from spdbuild.errors import InputError
from spdbuild.metrics.by_image import FILE, ByImage, load
from spdbuild.reporting.comparisons import Comparison, Difference
from spdbuild.reporting.groups import Group
from spdbuild.reporting.intervals import CONFIDENCE
from spdbuild.reporting.run import Run

#: Fewer give a deviation that is far off by chance.
LEAST = 50
#: A metric is taken only where this share of the resamples has objects to measure it with.
_DEFINED = 0.95
#: Losses are stored in single precision.
_ROUNDING = 1e-5

Pair = tuple[ByImage, ByImage]


def resampled(comparison: Comparison, resamples: int, advance: Callable[[], None]) -> Comparison:
    """The comparison with the intervals of its mean differences over images.

    Every resample draws as many images as there are, with some of them several times, the same for both networks and
    all seeds. advance: called behind each resample. Where it cannot be done, `unresampled` says why.
    """
    try:
        pairs = _pairs(comparison)
    except InputError as error:
        return replace(comparison, unresampled=error.problems[0].message)
    deviations = _deviations(pairs, resamples, advance)
    return replace(comparison, differences=tuple(_with_interval(entry, deviations) for entry in comparison.differences))


def _with_interval(difference: Difference, deviations: dict[str, float]) -> Difference:
    if difference.metric not in deviations:
        return difference
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviations[difference.metric]
    return replace(difference, over_images=(difference.mean - half, difference.mean + half))


def _pairs(comparison: Comparison) -> list[Pair]:
    """What both networks gave for each image, a pair a seed; InputError if that is not known, or of other images."""
    seeds = comparison.seeds
    pairs = [(_of_seed(comparison.group, seed), _of_seed(comparison.reference, seed)) for seed in seeds]
    first = pairs[0][0]
    if not all(type(one) is type(first) and first.same_images(one) for pair in pairs for one in pair):
        raise InputError("the runs were tested on different images")
    return pairs


def _of_seed(group: Group, seed: int) -> ByImage:
    return _read(next(run for run in group.runs if run.seed == seed))


def _read(run: Run) -> ByImage:
    path = run.folder / "report" / FILE
    if not path.is_file():
        raise InputError(f"there is no {path}; {_advice(run)}")
    found = load(path)
    stored = run.summary.metrics
    for name, value in found.metrics().items():
        known = stored.get(name)
        if value is not None and known is not None and abs(value - known) > _ROUNDING * max(1, abs(known)):
            raise InputError(f"{path} is of other weights than the run's metrics; {_advice(run)}")
    return found


def _advice(run: Run) -> str:
    """How the file is made behind a run; of the backends of detection only pycocotools tells what it is made of."""
    folder, backend = run.folder, run.recipe["task"].get("evaluation", {}).get("backend", "pycocotools")
    override = "" if backend == "pycocotools" else " task.evaluation.backend=pycocotools"
    return (
        f"`spdbuild eval {folder}{override} --weights {folder}/weights/last.safetensors -o {folder}/report` writes it"
    )


def _deviations(pairs: Sequence[Pair], resamples: int, advance: Callable[[], None]) -> dict[str, float]:
    """By metric the standard deviation of the mean difference of the pairs over resampled images."""
    images = len(pairs[0][0])
    generator = np.random.default_rng(0)
    drawn = dict[str, list[float]]()
    for _ in range(resamples):
        weights = generator.multinomial(images, np.full(images, 1 / images)).astype(np.float64)
        for name, value in _mean_differences(pairs, weights):
            drawn.setdefault(name, []).append(value)
        advance()
    enough = {name: values for name, values in drawn.items() if len(values) >= _DEFINED * resamples}
    return {name: float(np.std(values, ddof=1)) for name, values in enough.items()}


def _mean_differences(pairs: Iterable[Pair], weights: NDArray[np.float64]) -> list[tuple[str, float]]:
    """Of the metrics that all networks have for images that count `weights` times."""
    found = [(own.metrics(weights), other.metrics(weights)) for own, other in pairs]
    differences = []
    for name in found[0][0]:
        each = [(own.get(name), other.get(name)) for own, other in found]
        values = [one - two for one, two in each if one is not None and two is not None]
        if len(values) == len(found):
            differences.append((name, float(np.mean(values))))
    return differences

"""How far differences depend on which images the networks were tested on: the paired bootstrap.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 6 and 13.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spdbuild.errors import InputError
from spdbuild.metrics.by_image import FILE, ByImage, load
from spdbuild.reporting.comparisons import Comparison, Difference
from spdbuild.reporting.intervals import CONFIDENCE
from spdbuild.reporting.run import Run

#: Fewer give a deviation that is far off by chance.
LEAST = 50
#: A metric is taken only where this share of the resamples has objects to measure it with.
_DEFINED = 0.95
#: Differences that are equal but for rounding tell nothing of how they spread.
_EQUAL = 1e-12
#: Losses are stored in single precision.
_ROUNDING = 1e-5

Pair = tuple[ByImage, ByImage]


def read_pairs(comparison: Comparison) -> list[Pair] | tuple[str, ...]:
    """What both networks gave for each image, a pair a seed; or why that is not known, a reason a run."""
    runs = [(comparison.group.of_seed(seed), comparison.reference.of_seed(seed)) for seed in comparison.seeds]
    read, reasons = list[ByImage](), list[str]()
    for run in (run for pair in runs for run in pair):
        try:
            read.append(_read(run))
        except InputError as error:
            reasons.append(error.problems[0].message)
    if reasons:
        return tuple(reasons)
    first = read[0]
    if not all(type(one) is type(first) and first.same_images(one) for one in read):
        return ("the runs were tested on different images",)
    return list(zip(read[::2], read[1::2], strict=True))


def resampled(comparison: Comparison, pairs: Sequence[Pair], resamples: int, advance: Callable[[], None]) -> Comparison:
    """The comparison with the intervals of its mean differences over images.

    Every resample draws as many images as there are, with some of them several times, the same for both networks and
    all seeds. advance: called behind each resample.
    """
    deviations = _deviations(pairs, resamples, advance)
    carriers = pairs[0][0].carriers()
    differences = tuple(_with_interval(entry, comparison.seeds, deviations) for entry in comparison.differences)
    measured = {entry.metric for entry in differences if entry.over_images}
    known = {name: count for name, count in carriers.items() if name in measured}
    return replace(comparison, differences=differences, carriers=known)


def _with_interval(difference: Difference, seeds: Sequence[int], deviations: dict[str, float]) -> Difference:
    """None where there is no deviation, or where it is that of other seeds than the difference."""
    deviation = deviations.get(difference.metric, 0.0)
    if deviation <= _EQUAL or tuple(difference.values) != tuple(seeds):
        return difference
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation
    return replace(difference, over_images=(difference.mean - half, difference.mean + half))


def _read(run: Run) -> ByImage:
    """What the run gave for each image; InputError where that is not known, or is not of the run's metrics."""
    path = run.folder / "report" / FILE
    if not path.is_file():
        raise InputError(f"there is no {path}; {_advice(run)}")
    found = load(path)
    for name, value in found.metrics().items():
        known = run.summary.metrics.get(name)
        # What is no number is none in a summary, too.
        if value is None or known is None or not math.isfinite(value):
            continue
        if abs(value - known) > _ROUNDING * max(1, abs(known)):
            raise InputError(
                f"{path} gives {name} {value:.4f} and the run says {known:.4f}: it is of other weights, or was made on "
                f"another device; {_advice(run)}"
            )
    return found


def _advice(run: Run) -> str:
    """How the file is made behind a run; of the backends of detection only pycocotools tells what it is made of."""
    evaluation: Any = run.recipe["task"].get("evaluation")
    backend = evaluation.get("backend", "pycocotools") if isinstance(evaluation, dict) else "pycocotools"
    overrides = [f"precision={run.summary.precision}"]
    overrides += [] if backend == "pycocotools" else ["task.evaluation.backend=pycocotools"]
    weights, report = run.folder / "weights" / "last.safetensors", run.folder / "report"
    words = ["spdbuild", "eval", str(run.folder), *overrides, "--weights", str(weights), "-o", str(report)]
    return f"`{shlex.join(words)}` writes it for classifiers and detectors"


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
    """Of the metrics that all networks have, as finite numbers, for images that count `weights` times."""
    found = [(own.metrics(weights), other.metrics(weights)) for own, other in pairs]
    differences = []
    for name in found[0][0]:
        each = [(own.get(name), other.get(name)) for own, other in found]
        values = [one - two for one, two in each if one is not None and two is not None]
        if len(values) == len(found) and all(map(math.isfinite, values)):
            differences.append((name, float(np.mean(values))))
    return differences

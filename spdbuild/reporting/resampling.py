"""How far differences depend on which images the networks were tested on: the paired bootstrap.

With several seeds also on which trainings: the seeds are then drawn, too.

Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 6 and 13.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spdbuild.errors import InputError
from spdbuild.metrics.by_image import FILE, ByImage, load
from spdbuild.reporting.comparisons import Comparison, MetricDifference
from spdbuild.reporting.intervals import CONFIDENCE, standard_error, t_quantile
from spdbuild.reporting.mcnemar import McNemar
from spdbuild.reporting.run import Run
from spdbuild.reporting.trials import Trial, folds_of
from spdbuild.text.together import group_numbers
from spdbuild.training.folder.run_folder import RunFolder

#: Fewer resamples can give a deviation that is far off by chance.
LEAST = 50
#: A metric is used only if this share of the resamples has objects to measure it with.
_DEFINED = 0.95
#: Differences that are equal except for rounding say nothing about their spread.
_EQUAL = 1e-12
#: Beyond so many degrees of freedom Student's distribution is as good as normal.
_FREEDOM = 1000
#: Losses are stored in single precision.
_ROUNDING = 1e-5

Pair = tuple[ByImage, ByImage]


@dataclass(frozen=True, eq=False)
class Drawn:
    """What is resampled.

    pairs: the results of both networks for each image, one pair per seed.
    groups: [N], the group of each image, counted from 0: a group is drawn as a whole. None: image by image.
    """

    pairs: Sequence[Pair]
    groups: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Deviations:
    """Standard deviations of a mean difference over resamples: of the images, and of images and seeds."""

    over_images: float
    over_both: float


def read_drawn(comparison: Comparison, together: re.Pattern[str] | None = None) -> Drawn | tuple[str, ...]:
    """What can be resampled for a comparison; or why that is not known, one reason per run.

    together: pattern of what the names of the images of a group have in common.
    """
    if len(folds_of(comparison.trials)) > 1:
        return ("every fold has images of its own, and the interval over the folds is over images, too",)
    runs = [(comparison.group.of(trial), comparison.reference.of(trial)) for trial in comparison.trials]
    read, names, reasons = list[ByImage](), list[tuple[str, ...]](), list[str]()
    for run in (run for pair in runs for run in pair):
        try:
            found, own = _read(run)
        except InputError as error:
            reasons.append(error.problems[0].message)
        else:
            read.append(found)
            names.append(own)
    if reasons:
        return tuple(reasons)
    first = read[0]
    if not all(type(one) is type(first) and first.same_images(one) for one in read):
        return ("the runs were tested on different images",)
    pairs = list(zip(read[::2], read[1::2], strict=True))
    if together is None:
        return Drawn(pairs)
    try:
        return Drawn(pairs, _groups(together, next(filter(None, names), ()), runs[0][0]))
    except InputError as error:
        return (error.problems[0].message,)


def _groups(together: re.Pattern[str], names: Sequence[str], run: Run) -> NDArray[np.int64]:
    """[N], the group of each image by its name; raises InputError if names give no groups."""
    if not names:
        raise InputError(f"{run.results / FILE} has no names of images; {_advice(run)}")
    return np.array(group_numbers(together, names))


def resampled(comparison: Comparison, drawn: Drawn, resamples: int, advance: Callable[[], None]) -> Comparison:
    """The comparison with the intervals of its mean differences over images.

    Every resample draws as many images, or groups, as there are, with replacement, the same for both networks and all
    seeds. advance: called after each resample.
    """
    deviations = _deviations(drawn, resamples, advance)
    tests = {trial: _exact(*pair) for trial, pair in zip(comparison.trials, drawn.pairs, strict=True)}
    differences = tuple(
        replace(
            _with_intervals(entry, comparison.trials, deviations),
            # Images of one group are not independent of each other.
            exact={} if drawn.groups is not None else _of_metric(entry, tests),
        )
        for entry in comparison.differences
    )
    measured = {entry.metric for entry in differences if entry.over_images}
    known = {name: count for name, count in _carriers(drawn).items() if name in measured}
    count = None if drawn.groups is None else int(drawn.groups.max()) + 1
    return replace(comparison, differences=differences, carriers=known, image_groups=count)


def _carriers(drawn: Drawn) -> dict[str, int]:
    """For each metric the number of images, or of groups, that decide about the mean difference of the pairs."""
    carriers = drawn.pairs[0][0].carriers(drawn.groups)
    groups = np.arange(len(drawn.pairs[0][0])) if drawn.groups is None else drawn.groups
    by_pair = [own.differing(other) for own, other in drawn.pairs]
    differing = {name: np.any([found[name] for found in by_pair], axis=0) for name in by_pair[0]}
    counts = {name: len(np.unique(groups[there])) for name, there in differing.items()}
    return {name: min(count, counts.get(name, count)) for name, count in carriers.items()}


def _exact(own: ByImage, other: ByImage) -> dict[str, McNemar]:
    """The test of each metric that is a share of the images."""
    theirs = other.shares()
    return {
        name: McNemar(int((right & ~theirs[name]).sum()), int((theirs[name] & ~right).sum()))
        for name, right in own.shares().items()
    }


def _of_metric(difference: MetricDifference, tests: Mapping[Trial, Mapping[str, McNemar]]) -> dict[Trial, McNemar]:
    return {trial: tests[trial][difference.metric] for trial in difference.values if difference.metric in tests[trial]}


def _with_intervals(
    difference: MetricDifference, trials: Sequence[Trial], deviations: dict[str, Deviations]
) -> MetricDifference:
    """The difference with its intervals; without any if there is no deviation, or if it is that of other seeds."""
    found = deviations.get(difference.metric)
    if found is None or found.over_images <= _EQUAL or tuple(difference.values) != tuple(trials):
        return difference
    half = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * found.over_images
    of_seeds = standard_error(difference.samples)
    over_images = difference.mean - half, difference.mean + half
    if of_seeds is None:
        return replace(difference, over_images=over_images)
    # Satterthwaite 1946: the variance over images is as good as known, that over seeds has n - 1 degrees of freedom.
    freedom = (len(trials) - 1) * (found.over_both / of_seeds) ** 4
    wide = t_quantile(max(1, min(_FREEDOM, int(freedom)))) * found.over_both
    return replace(difference, over_images=over_images, over_both=(difference.mean - wide, difference.mean + wide))


def _read(run: Run) -> tuple[ByImage, tuple[str, ...]]:
    """The results of the run for each image, and the images' names.

    Raises InputError if they are not known, or do not agree with the run's metrics.
    """
    path = run.results / FILE
    if not path.is_file():
        raise InputError(f"there is no {path}; {_advice(run)}")
    found, names = load(path)
    for name, value in found.metrics().items():
        known = run.summary.metrics.get(name)
        # A value that is not finite is None in a summary, too.
        if value is None or known is None or not math.isfinite(value):
            continue
        if abs(value - known) > _ROUNDING * max(1, abs(known)):
            raise InputError(
                f"{path} gives {name} {value:.6f} and the run says {known:.6f}: it is of other weights, or was made on "
                f"another device; {_advice(run)}"
            )
    return found, names


def _advice(run: Run) -> str:
    """How to make the file after a run; of the detection backends only pycocotools gives results per image."""
    evaluation: Any = run.recipe["task"].get("evaluation")
    backend = evaluation.get("backend", "pycocotools") if isinstance(evaluation, dict) else "pycocotools"
    overrides = [f"precision={run.evaluated.precision if run.evaluated else run.summary.precision}"]
    overrides += [] if backend == "pycocotools" else ["task.evaluation.backend=pycocotools"]
    last = str(RunFolder(run.folder).last)
    words = ["spdbuild", "eval", str(run.folder), *overrides, "--weights", last, "-o", str(run.results)]
    again = run.evaluated.again(run.folder, *overrides) if run.evaluated else shlex.join(words)
    return f"`{again}` writes it for classifiers and detectors"


def _deviations(drawn: Drawn, resamples: int, advance: Callable[[], None]) -> dict[str, Deviations]:
    """Those of the mean difference of the pairs, by metric.

    Of n seeds n - 1 are drawn, with replacement, for the variance of means of n drawn ones is too small by (n - 1) / n
    (Rao and Wu 1988, "Resampling Inference with Complex Survey Data", JASA 83).
    """
    groups = np.arange(len(drawn.pairs[0][0])) if drawn.groups is None else drawn.groups
    count = int(groups.max()) + 1
    generator, of_seeds = np.random.default_rng(0), np.random.default_rng(1)
    seeds = len(drawn.pairs)
    found = dict[str, list[tuple[float, float]]]()
    for _ in range(resamples):
        weights = generator.multinomial(count, np.full(count, 1 / count)).astype(np.float64)
        chosen = of_seeds.integers(seeds, size=max(1, seeds - 1))
        for name, values in _differences(drawn.pairs, weights[groups]):
            found.setdefault(name, []).append((float(values.mean()), float(values[chosen].mean())))
        advance()
    enough = {name: values for name, values in found.items() if len(values) >= _DEFINED * resamples}
    return {name: Deviations(*map(float, np.std(values, axis=0, ddof=1))) for name, values in enough.items()}


def _differences(pairs: Iterable[Pair], weights: NDArray[np.float64]) -> list[tuple[str, NDArray[np.float64]]]:
    """The differences, pair by pair, of metrics that are finite for all networks; images count `weights` times."""
    found = [(own.metrics(weights), other.metrics(weights)) for own, other in pairs]
    differences = []
    for name in found[0][0]:
        each = [(own.get(name), other.get(name)) for own, other in found]
        values = [one - two for one, two in each if one is not None and two is not None]
        if len(values) == len(found) and all(map(math.isfinite, values)):
            differences.append((name, np.array(values)))
    return differences

"""What readers must know to interpret the numbers of a section."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spdbuild.reporting.comparisons import Comparison
from spdbuild.reporting.conditions import EVALUATED, differing
from spdbuild.reporting.groups import Section
from spdbuild.reporting.trials import Trial, folds_of, listed

#: Notes that hold for all sections.
READING = (
    "Metrics are those of the weights that a run ended with, mean ± sample standard deviation (n - 1) over the seeds. "
    "The best epoch of a run is chosen by the images that it is measured on, so its metrics, in runs.csv, flatter."
)
EVALUATIONS = (
    "A heading that names a split is of evaluations by `spdbuild eval`: metrics on that split of the weights that it "
    "names, mean ± sample standard deviation (n - 1) over the seeds; costs are those of the training."
)
DIFFERENCES = (
    "Differences are taken seed by seed. Runs of one seed draw the same batches unless their batch size, augmentation, "
    "sampling, training images or number of processes differ, and the same first weights in every layer that has the "
    "same name, shape and initializer in both. The interval is Student's for their mean, with 95 % confidence; it "
    "takes them for draws from a normal distribution, which a few seeds cannot show. One seed gives no interval and no "
    "conclusion."
)
FOLDS = (
    "In a cross-validation ± is over folds and seeds, and differences are taken fold by fold, each the mean over its "
    "seeds. Runs of several folds have most training images in common and vary less than others, so their interval and "
    "p are those of the corrected resampled t-test (Nadeau and Bengio 2003, Machine Learning 52): the variance of the "
    "mean of n of k folds is that of the differences times 1/n + 1/(k - 1) in place of 1/n; 1/(k - 1) is the number of "
    "images of a fold per training image."
)
HOLM = (
    "Holm's p are p with his step-down correction (Holm 1979) for all p of one metric below one heading: if nothing "
    "differs, the probability that any is below 0.05 is at most 0.05. Those of the means, of paired t-tests, and the "
    "exact ones are corrected apart from each other, and conclusions are by those of the means. The choice between "
    "several metrics is not corrected."
)
TIMINGS = (
    "Latency is the median over calls of the network alone with one image, in a group its mean over the runs; p99 is "
    "the latency that one call of a hundred exceeds; images/s of inference are those of batches."
)
BY_CLASS = (
    "Differences by class are the mean ± sample standard deviation (n - 1) over the seeds. None of them is tested: of "
    "many classes, or of classes with few images, some are far apart by chance."
)
_IMAGES = (
    "The interval over images says how far the mean difference of these very networks could be another with other test "
    "images: 1.96 standard deviations over {resamples:,} resamples of the {drawn}, the same for all networks and "
    "seeds. It holds with 95 % confidence for many {drawn} that were drawn one by one. {alike} It says nothing of "
    "other trainings."
)
_EXACT = (
    "Exact p is McNemar's, seed by seed: how likely the images that only one of the two networks gets right would be "
    "divided so unevenly, or more so, if both were equally good. It holds for few images, too."
)
_ALIKE = (
    "Frames of one video or images of one writer are alike, and tell less than their number, unless --together draws "
    "them as one."
)
_BOTH = (
    "The interval over images and seeds is for other trainings, too: each resample of the images also draws n - 1 of "
    "the n seeds, with replacement, and in place of 1.96 stands Student's t, with as many degrees of freedom as the "
    "seeds' part of the variance leaves (Satterthwaite). It errs on the wide side."
)
_TOGETHER = "A group has the images in whose names '{together}' matches the same."
#: Intervals over fewer images are too narrow: a deviation of few values is more often too small than too large.
_MANY = 30


def over_images(resamples: int, together: str | None, *, both: bool) -> str:
    """How to read intervals over images. together: pattern of the names of images that were drawn as one.

    both: whether some are over images and seeds.
    """
    drawn, alike = ("images", _ALIKE) if together is None else ("groups of images", _TOGETHER)
    told = [_IMAGES.format(resamples=resamples, drawn=drawn, alike=alike.format(together=together))]
    return " ".join([*told, *([_BOTH] if both else []), *([_EXACT] if together is None else [])])


def notes(
    section: Section,
    others: Sequence[Section],
    comparisons: Sequence[Comparison],
    metrics: Sequence[str],
    against: str | None = None,
) -> list[str]:
    """Sentences about a section of which `metrics` are shown. others: the sections that it is shown beside.

    against: the group that all others were to be compared with.
    """
    return [
        *_selected(section),
        *_other_data(section, others),
        *_folds(section),
        *_alone(section, comparisons, against),
        *_chance(comparisons, metrics),
        *_fewer_seeds(comparisons, metrics),
        *_unresampled(comparisons, metrics),
        *_groups(comparisons),
        *_few_images(comparisons, metrics),
        *_cut_off(section),
        *_provenance(section),
    ]


def _selected(section: Section) -> Iterator[str]:
    if any(run.selected for run in section.runs):
        yield "The best epoch was chosen by these very images, so the metrics flatter; other images would tell more."


def _other_data(section: Section, others: Sequence[Section]) -> Iterator[str]:
    for other in others:
        paths = differing([section.measured, other.measured])
        how = "on other images" if paths == [EVALUATED] else f"otherwise: {', '.join(paths)}"
        yield f"Not compared with {other.title}, whose runs were measured {how}."


def _folds(section: Section) -> Iterator[str]:
    """Folds that are not all there, or that cannot be taken together."""
    if "data.fold" in section.measured and section.groups[0].folds:
        yield "This fold stands for itself: some runs of a fold were of other images than others of the same fold."
        return
    for group in section.groups:
        there = folds_of(group.trials)
        if len(there) < group.folds:
            yield f"{group.name} has {len(there)} of {group.folds} folds, so not every image was evaluated on."


def _alone(section: Section, comparisons: Sequence[Comparison], against: str | None) -> Iterator[str]:
    if against is not None and against not in (group.name for group in section.groups):
        yield f"Nothing is compared here, for {against} was measured otherwise."
        return
    compared = {group.name for entry in comparisons for group in (entry.group, entry.reference)}
    shared = "fold with a seed" if section.groups[0].folds else "seed"
    for group in section.groups if len(section.groups) > 1 else ():
        if group.name not in compared:
            yield f"{group.name} is compared with nothing, for it shares no {shared}: {listed(group.trials)}."


def _chance(comparisons: Sequence[Comparison], metrics: Sequence[str]) -> Iterator[str]:
    shown = [entry for one in comparisons for entry in one.differences if entry.metric in metrics]
    count = sum(ends is not None for entry in shown for ends in (entry.interval, entry.over_images))
    tests = sum(len(entry.exact) for entry in shown if not entry.exact_holm)
    if count > 1:
        told, chance = (f" and {tests} exact p", ", or has a p below 0.05,") if tests else ("", "")
        yield (
            f"The {count} intervals{told} are not corrected for their number: where nothing differs, "
            f"one of twenty leaves 0 out{chance} by chance."
        )


def _fewer_seeds(comparisons: Sequence[Comparison], metrics: Sequence[str]) -> Iterator[str]:
    """Metrics that some runs have not measured: in tables the seeds would be missing without a word."""
    for one in comparisons:
        by_trials = dict[tuple[Trial, ...], list[str]]()
        for name in metrics:
            known = next((entry.values for entry in one.differences if entry.metric == name), {})
            lacking = tuple(trial for trial in one.trials if trial not in known)
            runs = (*one.group.runs, *one.reference.runs)
            # Of a metric that the data do not define no run has a value.
            if lacking and any(run.summary.metrics.get(name) is not None for run in runs):
                by_trials.setdefault(lacking, []).append(name)
        for lacking, names in by_trials.items():
            yield (
                f"{one.name} is without {listed(lacking)} for {', '.join(names)}: "
                "one of the two runs has no value of it that is a number."
            )


def _unresampled(comparisons: Sequence[Comparison], metrics: Sequence[str]) -> Iterator[str]:
    for entry in comparisons:
        if entry.unresampled:
            yield f"{entry.name} has no interval over images: {'; '.join(entry.unresampled)}."
        shown = [one for one in entry.differences if one.metric in metrics]
        left = [one.metric for one in shown if one.over_images is None]
        if entry.carriers and left:
            yield (
                f"{entry.name} has no interval over images for {', '.join(left)}: they are not made of what each image "
                "gave, do not differ on any, or some resamples or seeds have nothing to measure them with."
            )


def _few_images(comparisons: Sequence[Comparison], metrics: Sequence[str]) -> Iterator[str]:
    told = []
    for one in comparisons:
        few = {name: count for name in metrics if (count := one.carriers.get(name, _MANY)) < _MANY}
        if few:
            told.append(f"{one.name}: {', '.join(f'{name} ({count})' for name, count in few.items())}")
    if told:
        what = "groups of images" if any(one.image_groups for one in comparisons) else "images"
        yield (
            f"Intervals over images are too narrow where few {what} decide, of a class or in which the networks "
            f"differ: {'; '.join(told)}."
        )


def _groups(comparisons: Sequence[Comparison]) -> Iterator[str]:
    counts = {one.image_groups: None for one in comparisons if one.image_groups}
    if counts:
        yield f"For the intervals over images these were drawn in {' or '.join(map(str, counts))} groups."


def _cut_off(section: Section) -> Iterator[str]:
    cut = [str(run.folder) for run in section.runs if run.summary.epochs < run.summary.planned_epochs]
    if cut:
        yield f"Ended before their last epoch: {', '.join(cut)}."


def _provenance(section: Section) -> Iterator[str]:
    commits = sorted({run.commit for run in section.runs})
    if len(commits) > 1:
        yield f"The runs were made by {len(commits)} states of the program: {', '.join(commits)}."
    for group in section.groups:
        if group.seconds is None:
            yield f"{group.name} has no mean times, for its runs were made on different machines."
    machines = {timing.machine for group in section.groups for timing in group.timings}
    if len(machines) > 1:
        yield f"Latencies of the {len(machines)} machines are neither averaged nor to be compared with each other."

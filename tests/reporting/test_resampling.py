"""Intervals of differences over resampled images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spdbuild.errors import ArgumentError
from spdbuild.metrics.by_image import FILE, load, save
from spdbuild.metrics.by_image.answers import Answers
from spdbuild.reporting.comparisons import Comparison, MetricDifference
from spdbuild.reporting.report import report
from spdbuild.reporting.resampling import Drawn, resampled
from spdbuild.training.report.summary import Summary
from spdbuild.training.running.run import train

MakeRun = Callable[..., Path]
Make = Callable[..., Path]
IMAGES = 400
#: Ten images of each of forty films.
NAMES = [f"film_{number // 10}/{number}.png" for number in range(IMAGES)]


def answers(right: np.ndarray, labels: np.ndarray | None = None) -> Answers:
    """Of two classes; a wrong answer has a loss of 1 and a right one none."""
    known = np.arange(len(right)) % 2 if labels is None else labels
    return Answers(known, np.where(right, known, 1 - known), np.where(right, 0, 1), 1.0 - right, 2, 2)


def right(share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(IMAGES) < share


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """`run("spd", answers, "seed=1")` is the folder of a run that gave these answers."""
    monkeypatch.chdir(tmp_path)

    def make(name: str, found: Answers, *overrides: str, macs: int = 2000) -> Path:
        folder = make_run(f"runs/{name}", f"title={name}", *overrides, metrics=found.metrics(), macs=macs)
        save(folder / "report" / FILE, found, NAMES)
        return folder

    return make


def differences(**options: Any) -> dict[str, tuple[float, tuple[float, float] | None]]:
    (pairs,) = report("runs", quiet=True, **options).comparisons
    return {entry.metric: (entry.mean, entry.over_images) for entry in pairs[0].differences}


def test_the_interval_is_that_of_the_mean_of_paired_differences(run: Make) -> None:
    ours, theirs = right(0.9, 1), right(0.8, 2)
    run("strided", answers(theirs), "passes=[]")
    run("spd", answers(ours), macs=3000)
    values = ours.astype(float) - theirs
    half = 1.96 * values.std(ddof=1) / np.sqrt(IMAGES)
    mean, ends = differences(resamples=1000)["top1"]
    assert ends == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    assert mean == pytest.approx(values.mean())


def test_the_same_answers_tell_nothing_of_other_images(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.8, 1)), macs=3000)
    assert set(differences(resamples=50).values()) == {(0.0, None)}


def test_a_metric_that_is_not_made_of_images_has_none_and_that_is_said(run: Make, make_run: MakeRun) -> None:
    for name, seed, *changes in (("strided", 1, "passes=[]"), ("spd", 2)):
        found = answers(right(0.8, seed))
        folder = make_run(f"runs/{name}", f"title={name}", *changes, metrics=found.metrics() | {"F1": seed / 3})
        save(folder / "report" / FILE, found)
    (note,) = notes("for top5")
    assert note.startswith("spd - strided has no interval over images for top5, F1: they are not made of what each")


def test_few_images_of_a_class_are_told(run: Make) -> None:
    labels = np.r_[np.zeros(IMAGES - 4, int), np.ones(4, int)]
    run("strided", answers(right(0.8, 1), labels), "passes=[]")
    run("spd", answers(right(0.9, 2), labels), macs=3000)
    (note,) = notes("too narrow")
    assert note == (
        "Intervals over images are too narrow where few images decide, of a class or in which the networks differ: "
        "spd - strided: mean_class_top1 (4), mean_class_f1 (4)."
    )


def test_few_images_in_which_the_networks_differ_are_told(run: Make) -> None:
    """Four images that one network alone gets right: the interval leaves 0 out, and the exact p is 2 / 2**4."""
    both = np.arange(IMAGES) >= 10
    run("strided", answers(both & (np.arange(IMAGES) < IMAGES - 4)), "passes=[]")
    run("spd", answers(both), macs=3000)
    found = report("runs", quiet=True, resamples=200)
    ((pair,),) = found.comparisons
    top1 = next(entry for entry in pair.differences if entry.metric == "top1")
    assert top1.over_images is not None
    assert top1.over_images[0] > 0
    assert (top1.exact[0].gained, top1.exact[0].lost, top1.exact[0].p) == (4, 0, 0.125)
    (note,) = notes("too narrow")
    assert note.endswith("differ: spd - strided: top1 (4), mean_class_top1 (4), mean_class_f1 (4), loss (4).")
    told = found.to_dict()["sections"][0]["comparisons"][0]["differences"]["top1"]
    assert (told["deciding_images"], told["mcnemar"]) == (
        4,
        {"0": {"gained": 4, "lost": 0, "p": 0.125, "p_holm": None}},
    )


def test_over_several_seeds_an_image_counts_once(run: Make) -> None:
    for seed in range(2):
        mistakes = np.arange(IMAGES) < 6 + seed
        run(f"strided_seed{seed}", answers(~mistakes), "passes=[]", f"seed={seed}")
        run(f"spd_seed{seed}", answers(mistakes & False | (np.arange(IMAGES) >= 2)), f"seed={seed}", macs=3000)
    ((pair,),) = report("runs", quiet=True, resamples=200).comparisons
    # Images 2 to 5, and 6 with one seed.
    assert pair.carriers["top1"] == 5
    top1 = next(entry for entry in pair.differences if entry.metric == "top1")
    assert [test.p for test in top1.exact.values()] == [0.125, 0.0625]


def test_the_interval_over_images_and_seeds_has_both_variances(run: Make) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    pairs = [(right(0.8, 6 + seed), right(0.7, 20 + seed)) for seed in range(3)]
    for seed, (ours, theirs) in enumerate(pairs):
        run(f"strided_seed{seed}", answers(theirs), "passes=[]", f"seed={seed}")
        run(f"spd_seed{seed}", answers(ours), f"seed={seed}", macs=3000)
    ((pair,),) = report("runs", quiet=True, resamples=2000).comparisons
    top1 = next(entry for entry in pair.differences if entry.metric == "top1")
    by_image = np.array([ours * 1.0 - theirs for ours, theirs in pairs])
    mean = by_image.mean(axis=0)
    of_images, of_seeds = mean.var() / IMAGES, by_image.mean(axis=1).var(ddof=1) / 3
    # Seeds that differ in other images after each drawing have more variance between their means.
    together = ((by_image - mean).var(axis=1).sum() / 2) / IMAGES / 3
    total = of_images + of_seeds + together
    assert top1.over_images is not None
    assert top1.over_both is not None
    assert top1.over_images[1] - top1.over_images[0] == pytest.approx(2 * 1.96 * of_images**0.5, rel=0.1)
    wide = stats.t.ppf(0.975, int(2 * (total / of_seeds) ** 2)) * total**0.5
    assert top1.over_both[1] - top1.over_both[0] == pytest.approx(2 * wide, rel=0.1)


def test_one_seed_has_no_interval_over_seeds(run: Make) -> None:
    run("strided", answers(right(0.8, 2)), "passes=[]")
    run("spd", answers(right(0.9, 1)), macs=3000)
    ((pair,),) = report("runs", quiet=True, resamples=50).comparisons
    assert {entry.over_both for entry in pair.differences} == {None}


def test_a_loss_that_is_no_number_has_no_interval(run: Make) -> None:
    broken = answers(right(0.9, 2))
    broken.losses[3] = np.nan
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", replace(broken, losses=answers(right(0.9, 2)).losses), macs=3000)
    save(Path("runs/spd/report") / FILE, broken)
    found = differences(resamples=60)
    assert found["loss"][1] is None
    assert found["top1"][1] is not None


def test_a_single_run_is_compared_with_nothing(run: Make) -> None:
    run("spd", answers(right(0.9, 2)))
    assert (
        "Nothing is compared, so nothing is resampled." in report("runs", quiet=True, resamples=60).parts[-1].sentences
    )


def test_the_number_of_resamples_is_told(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.9, 2)), macs=3000)
    made = report("runs", quiet=True, resamples=60)
    assert "over 60 resamples of the images" in made.parts[-1].sentences[-1]
    assert made.to_dict()["resamples"] == 60


def test_over_several_seeds_it_is_that_of_the_mean_of_the_seeds(run: Make) -> None:
    ours, theirs = [right(0.9, seed) for seed in (1, 2, 3)], [right(0.8, seed) for seed in (4, 5, 6)]
    for seed in range(3):
        run(f"strided_seed{seed}", answers(theirs[seed]), "passes=[]", f"seed={seed}")
        run(f"spd_seed{seed}", answers(ours[seed]), f"seed={seed}", macs=3000)
    values = np.mean(ours, axis=0) - np.mean(theirs, axis=0)
    half = 1.96 * values.std(ddof=1) / np.sqrt(IMAGES)
    mean, ends = differences(resamples=1000)["top1"]
    assert ends == pytest.approx((mean - half, mean + half), abs=0.1 * half)


def test_it_is_the_same_each_time(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.9, 2)), macs=3000)
    assert differences(resamples=60) == differences(resamples=60)


def test_groups_are_drawn_as_a_whole(run: Make) -> None:
    films = np.repeat([right(0.9, 1)[:40], right(0.7, 2)[:40]], 10, axis=1)
    run("strided", answers(films[1]), "passes=[]")
    run("spd", answers(films[0]), macs=3000)
    values = (films[0].astype(float) - films[1])[::10]
    half = 1.96 * values.std(ddof=1) / np.sqrt(40)
    for pattern in ("film_[0-9]+", r"_(\d+)/", r"^film_(\d+)/\d+\.png$"):
        mean, ends = differences(resamples=1000, together=pattern)["top1"]
        assert ends == pytest.approx((mean - half, mean + half), abs=0.1 * half)
    alone = differences(resamples=1000)["top1"][1]
    assert alone is not None
    assert alone[1] - alone[0] < half


def test_groups_are_told(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.9, 2)), macs=3000)
    made = report("runs", quiet=True, resamples=60, together="film_[0-9]")
    assert "For the intervals over images these were drawn in 10 groups." in made.parts[0].sentences
    (few,) = (sentence for sentence in made.parts[0].sentences if "too narrow" in sentence)
    assert few.startswith(
        "Intervals over images are too narrow where few groups of images decide, of a class or in which the networks "
        "differ: spd - strided: top1 (10)"
    )
    # Images of one group are not independent.
    assert not any(entry.exact for entry in made.comparisons[0][0].differences)
    assert "A group has the images in whose names 'film_[0-9]' matches the same." in made.parts[-1].sentences[-1]
    document = made.to_dict()
    assert document["together"] == "film_[0-9]"
    assert document["sections"][0]["comparisons"][0]["image_groups"] == 10


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("patient", "the pattern 'patient' matches nothing in the name of image 'film_0/0.png'."),
        ("film_", "the pattern 'film_' puts all 400 images into one group."),
    ],
)
def test_a_pattern_that_tells_no_groups_is_said(run: Make, pattern: str, reason: str) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.9, 2)), macs=3000)
    (note,) = notes(together=pattern)
    assert note == f"spd - strided has no interval over images: {reason}"


def test_groups_need_the_names_of_the_images(run: Make) -> None:
    for name, seed, *changes in (("strided", 1, "passes=[]"), ("spd", 2)):
        found = answers(right(0.8, seed))
        save(run(name, found, *changes) / "report" / FILE, found)
    (note,) = notes(together="film_[0-9]+")
    assert f"report/{FILE} has no names of images; `spdbuild eval runs/" in note


def test_what_is_no_pattern_is_refused(run: Make) -> None:
    with pytest.raises(ArgumentError, match=r"'film_\(' is no regular expression: missing \), unterminated subpattern"):
        report("runs", resamples=60, together="film_(")


def test_nothing_is_resampled_unless_it_is_wanted(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.9, 2)), macs=3000)
    assert all(ends is None for _, ends in differences().values())
    assert "over images" not in str(report("runs", quiet=True).parts)


def notes(about: str = "interval over images:", together: str | None = None) -> list[str]:
    part, *_ = report("runs", quiet=True, resamples=50, together=together).parts
    return [sentence for sentence in part.sentences if about in sentence]


def test_a_run_without_the_file_is_told_how_to_get_it(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    (run("spd", answers(right(0.9, 2)), macs=3000) / "report" / FILE).unlink()
    assert notes() == [
        f"spd - strided has no interval over images: there is no runs/spd/report/{FILE}; "
        "`spdbuild eval runs/spd precision=fp32 --weights runs/spd/weights/last.safetensors -o runs/spd/report` writes "
        "it for classifiers and detectors."
    ]


def test_the_file_of_other_weights_is_refused(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    save(run("spd", answers(right(0.9, 2)), macs=3000) / "report" / FILE, answers(right(0.9, 3)))
    (note,) = notes()
    assert f"runs/spd/report/{FILE} gives top1 0.915000 and the run says 0.897500: it is of other weights" in note


def test_all_runs_that_lack_the_file_are_told_at_once(run: Make) -> None:
    for name, *changes in (("strided", "passes=[]"), ("spd of mine",)):
        (run(name, answers(right(0.8, 1)), *changes) / "report" / FILE).unlink()
    (note,) = notes()
    assert note.count("there is no runs/") == 2
    assert "spdbuild eval 'runs/spd of mine' precision=fp32" in note


def test_a_damaged_file_is_told(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    (run("spd", answers(right(0.9, 2)), macs=3000) / "report" / FILE).write_bytes(b"PK")
    (note,) = notes()
    assert f"runs/spd/report/{FILE} is damaged" in note


def test_other_images_are_not_compared(run: Make) -> None:
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.9, 2), labels=np.zeros(IMAGES, int)), macs=3000)
    (note,) = notes()
    assert note.endswith("the runs were tested on different images.")


def test_a_metric_that_few_resamples_can_tell_has_no_interval(
    run: Make, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rare(Answers):
        def metrics(self, weights: np.ndarray | None = None) -> dict[str, float | None]:
            seen = weights is None or weights[0] > 0
            return super().metrics(weights) | {"top5": 1.0 if seen else None}

    monkeypatch.setattr("spdbuild.reporting.resampling.load", lambda path: (_as(Rare, load_of(path)), ()))
    run("strided", answers(right(0.8, 1)), "passes=[]")
    run("spd", answers(right(0.9, 2)), macs=3000)
    found = differences(resamples=100)
    assert found["top5"][1] is None
    assert found["top1"][1] is not None


def load_of(path: Path) -> Answers:
    found, _ = load(path)
    assert isinstance(found, Answers)
    return found


def _as(kind: type[Answers], found: Answers) -> Answers:
    return kind(found.labels, found.predicted, found.places, found.losses, found.classes, found.outputs)


@pytest.mark.parametrize("resamples", [-1, 1, 49])
def test_too_few_are_refused(run: Make, resamples: int) -> None:
    with pytest.raises(ArgumentError, match=f"{resamples} resamples tell too little"):
        report("runs", resamples=resamples)


def test_a_run_stores_what_its_metrics_are_made_of(tmp_path: Path) -> None:
    text = "architecture: cifar_resnet20\ndata: {name: digits}\nepochs: 1\nmax_steps: 2\nworkers: 0\n"
    folder = train(text, runs=tmp_path, quiet=True).folder
    stored = load_of(folder / "report" / FILE).metrics()
    assert stored == pytest.approx(Summary.read(folder / "report").metrics)


@dataclass
class Weighed:
    """What thirty images gave, and each metric noted: `common` is always known, `rare` where the first image is in."""

    factor: float
    noted: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return 30

    def metrics(self, weights: np.ndarray) -> dict[str, float | None]:
        self.noted.append(self.factor * weights[1])
        return {"common": self.noted[-1], "rare": self.noted[-1] if weights[0] else None}

    def carriers(self, groups: np.ndarray | None = None) -> dict[str, int]:
        return {"common": 30, "rare": 1}

    def differing(self, other: Weighed) -> dict[str, np.ndarray]:
        return {"common": np.arange(30) < 7}

    def shares(self) -> dict[str, np.ndarray]:
        return {}


def test_the_deviation_is_that_of_a_sample_and_of_metrics_that_most_resamples_have() -> None:
    side: Any = SimpleNamespace(trials=(0,))
    ours = Weighed(2.0)
    pairs: Any = [(ours, Weighed(1.0))]
    given = Comparison(side, side, (), tuple(MetricDifference(name, {0: 0.5}) for name in ("common", "rare")))
    common, rare = resampled(given, Drawn(pairs), 60, lambda: None).differences
    half = 1.959964 * np.std(np.array(ours.noted) / 2, ddof=1)
    assert common.over_images == pytest.approx((0.5 - half, 0.5 + half), rel=1e-6)
    assert rare.over_images is None
    assert resampled(given, Drawn(pairs), 60, lambda: None).carriers == {"common": 7}

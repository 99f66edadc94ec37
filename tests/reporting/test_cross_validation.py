"""Folds of a cross-validation as pairs, and the interval that allows for their overlapping training sets."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spdbuild.reporting.comparisons import MetricDifference
from spdbuild.reporting.report import Report, report
from spdbuild.reporting.trials import InFold, listed

pytestmark = pytest.mark.usefixtures("own_folder")

MakeRun = Callable[..., Path]
#: Top-1 by fold and seed.
CONVERTED = {(0, 0): 0.80, (0, 1): 0.82, (1, 0): 0.75, (1, 1): 0.79, (2, 0): 0.90, (2, 1): 0.90}
STRIDED = {(0, 0): 0.78, (0, 1): 0.78, (1, 0): 0.74, (1, 1): 0.76, (2, 0): 0.86, (2, 1): 0.88}


@pytest.fixture
def folds(make_run: MakeRun) -> Callable[..., None]:
    """`folds("runs", {(fold, seed): top1})` makes runs of three folds, each of images of its own."""

    def make(
        folder: str, reached: dict[tuple[int, int], float], *changes: str, version: str = "", **facts: int
    ) -> None:
        for (fold, seed), top1 in reached.items():
            digests = {"trained_on": f"but{fold}{version}", "evaluated_on": f"in{fold}{version}"}
            make_run(
                f"{folder}/{fold}_{seed}",
                f"title={Path(folder).name}",
                f"seed={seed}",
                f"data={{name: folder, root: pets{version}, folds: 3, fold: {fold}}}",
                *changes,
                metrics={"top1": top1},
                data={name: {"images": 9, "classes": 2, "digest": digest} for name, digest in digests.items()},
                **facts,
            )

    return make


@pytest.fixture
def both(folds: Callable[..., None]) -> Report:
    """A cross-validation of a network with and without passes, two seeds a fold."""
    folds("runs/spd", CONVERTED, macs=3000)
    folds("runs/strided", STRIDED, "passes=[]", macs=2000)
    return report("runs", quiet=True, output="out")


def test_the_interval_is_that_of_the_corrected_resampled_t_test(both: Report) -> None:
    """By hand: the differences of the folds are the means of 0.02, 0.04; 0.01, 0.03; 0.04, 0.02."""
    (section,) = both.sections
    assert section.title == "folder in 3 folds"
    assert [(group.name, group.seeds, len(group.runs)) for group in section.groups] == [
        ("strided", (0, 1), 6),
        ("spd", (0, 1), 6),
    ]
    ((pair,),) = both.comparisons
    (top1,) = pair.differences
    assert top1.samples == pytest.approx([0.03, 0.02, 0.03])
    assert top1.mean == pytest.approx(0.08 / 3)
    # Their variance is (2 * 0.00333^2 + 0.00667^2) / 2 = 0.00003333, and that of the mean 0.00003333 * (1/3 + 1/2);
    # the t of two degrees of freedom is 4.3027.
    half = 4.3027 * (0.00003333333 * 5 / 6) ** 0.5
    assert top1.interval == pytest.approx((0.08 / 3 - half, 0.08 / 3 + half), abs=1e-6)
    # With two degrees of freedom p is 1 - t / sqrt(2 + t^2), here of t = 5.0596.
    assert top1.p == pytest.approx(1 - 5.0596 / (2 + 5.0596**2) ** 0.5, abs=1e-5)
    assert top1.verdict == "higher (3 folds)"


def test_folds_of_a_set_that_has_grown_meanwhile_are_not_taken_together(make_run: MakeRun) -> None:
    for fold, images in enumerate((9, 9, 11)):
        make_run(
            f"runs/fold{fold}",
            f"data={{name: folder, root: pets, folds: 3, fold: {fold}}}",
            metrics={"top1": 0.5},
            data={
                name: {"images": images, "classes": 2, "digest": f"{name}{fold}"}
                for name in ("trained_on", "evaluated_on")
            },
        )
    assert [section.title for section in report("runs", quiet=True, output="out").sections] == [
        f"folder in 3 folds (data.fold={fold})" for fold in range(3)
    ]


def test_what_is_shown_and_written_of_folds(both: Report) -> None:
    shown = Path("out/report.md").read_text()
    assert "| spd - strided | top1 | 0, 1, 2 | 0, 1 | +0.0300, +0.0200, +0.0300 | +0.0267 |" in shown
    assert "fold by fold" in shown
    assert "corrected resampled t-test (Nadeau and Bengio 2003" in shown
    (row,) = csv.DictReader(Path("out/differences.csv").read_text().splitlines())
    assert (row["folds"], row["seeds"], row["data"]) == ("0 1 2", "0 1", "folder in 3 folds")
    first, *_ = csv.DictReader(Path("out/runs.csv").read_text().splitlines())
    assert (first["fold"], first["seed"]) == ("0", "0")
    (section,) = both.to_dict()["sections"]
    assert section["groups"][0]["folds"] == [0, 1, 2]
    values = section["comparisons"][0]["differences"]["top1"]["values"]
    assert list(values)[:2] == ["fold 0 seed 0", "fold 0 seed 1"]


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_the_overlap_makes_the_interval_wider_than_the_plain_one(folds: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    values = np.random.default_rng(folds).normal(0.02, 0.01, folds)
    found = MetricDifference("top1", {InFold(fold, 0): value for fold, value in enumerate(values)}, folds)
    low, high = stats.t.interval(0.95, folds - 1, values.mean(), stats.sem(values))
    assert found.interval is not None
    assert found.interval[1] - found.interval[0] == pytest.approx(
        (high - low) * (1 + folds / (folds - 1)) ** 0.5, rel=1e-6
    )


def test_seeds_of_one_fold_are_as_those_of_any_split() -> None:
    values = [0.01, 0.03, 0.02]
    found = MetricDifference("top1", {InFold(2, seed): value for seed, value in enumerate(values)}, 5)
    plain = MetricDifference("top1", dict(enumerate(values)))
    assert (found.interval, found.p, found.verdict) == (plain.interval, plain.p, plain.verdict)


def test_two_folds_are_few_and_missing_ones_are_told(folds: Callable[..., None]) -> None:
    folds("runs/spd", {(0, 0): 0.8, (2, 0): 0.9}, macs=3000)
    folds("runs/strided", {(0, 0): 0.7, (1, 0): 0.7, (2, 0): 0.7}, "passes=[]", macs=2000)
    found = report("runs", quiet=True)
    ((pair,),) = found.comparisons
    assert pair.differences[0].verdict == "no conclusion (2 folds are few)"
    assert "spd has 2 of 3 folds, so not every image was evaluated on." in found.parts[0].sentences


def test_cross_validations_of_two_data_sets_are_not_mixed(folds: Callable[..., None]) -> None:
    one_seed = {(fold, 0): 0.5 for fold in range(3)}
    folds("runs/a", one_seed)
    folds("runs/b", one_seed, version="-2")
    found = report("runs", quiet=True)
    assert [section.title for section in found.sections] == [
        "folder in 3 folds (data.root=pets)",
        "folder in 3 folds (data.root=pets-2)",
    ]
    assert [len(section.runs) for section in found.sections] == [3, 3]


def test_folds_of_other_groups_are_other_conditions(make_run: MakeRun) -> None:
    for name, together in (("films", ", together: 'film_[0-9]+'"), ("images", "")):
        for fold in range(3):
            make_run(
                f"runs/{name}{fold}",
                f"title={name}",
                f"data={{name: folder, root: pets, folds: 3, fold: {fold}{together}}}",
                metrics={"top1": 0.5},
                data={
                    split: {"images": 9, "classes": 2, "digest": f"{name}{split}{fold}"}
                    for split in ("trained_on", "evaluated_on")
                },
            )
    found = report("runs", quiet=True)
    assert sorted(section.title for section in found.sections) == [
        "folder in 3 folds (data.together=film_[0-9]+)",
        "folder in 3 folds (data.together=none)",
    ]
    assert [len(section.runs) for section in found.sections] == [3, 3]


def test_folds_of_images_that_changed_meanwhile_are_not_taken_together(
    folds: Callable[..., None], make_run: MakeRun
) -> None:
    folds("runs/a", {(fold, 0): 0.5 for fold in range(3)})
    make_run(
        "runs/b",
        "title=a",
        "seed=1",
        "data={name: folder, root: pets, folds: 3, fold: 0}",
        metrics={"top1": 0.5},
        data={name: {"images": 9, "classes": 2, "digest": "other"} for name in ("trained_on", "evaluated_on")},
    )
    found = report("runs", quiet=True)
    assert sorted(len(section.runs) for section in found.sections) == [1, 1, 1, 1]
    why = "This fold stands for itself: some runs of a fold were of other images than others of the same fold."
    assert all(why in part.sentences for part in found.parts[:4])


def test_images_are_not_resampled_over_folds(folds: Callable[..., None]) -> None:
    folds("runs/spd", CONVERTED, macs=3000)
    folds("runs/strided", STRIDED, "passes=[]", macs=2000)
    found = report("runs", quiet=True, resamples=50)
    why = "every fold has images of its own, and the interval over the folds is over images, too"
    assert f"spd - strided has no interval over images: {why}." in found.parts[0].sentences


def test_how_trials_are_listed() -> None:
    assert listed((0,)) == "seed 0"
    assert listed((InFold(0, 3), InFold(1, 3))) == "folds 0, 1 of seed 3"
    assert listed((InFold(0, 0), InFold(1, 1))) == "fold 0 seed 0, fold 1 seed 1"

"""Which groups are compared, and what is concluded from how many seeds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spdbuild.reporting.comparisons import MetricDifference, compare
from spdbuild.reporting.groups import Section, make_sections
from spdbuild.reporting.report import report
from spdbuild.reporting.run import read_run

pytestmark = pytest.mark.usefixtures("own_folder")

MakeRun = Callable[..., Path]
Pair = Callable[[dict[int, float], dict[int, float]], Section]


@pytest.fixture
def pair(make_run: MakeRun) -> Pair:
    """A network and itself without passes, by their top-1 of each seed."""

    def make(converted: dict[int, float], strided: dict[int, float]) -> Section:
        folders = [
            make_run(
                f"runs/{name}{seed}", f"title={name}", f"seed={seed}", *changes, metrics={"top1": value}, macs=macs
            )
            for name, reached, macs, *changes in (("spd", converted, 3000), ("strided", strided, 2000, "passes=[]"))
            for seed, value in reached.items()
        ]
        (section,), _ = make_sections(map(read_run, folders))
        return section

    return make


def test_the_difference_is_taken_seed_by_seed(pair: Pair) -> None:
    (found,) = compare(pair({0: 0.90, 1: 0.93, 2: 0.95, 7: 0.1}, {0: 0.89, 1: 0.90, 2: 0.93, 8: 0.9}))
    assert (found.name, found.seeds, found.differing) == ("spd - strided", (0, 1, 2), ("passes",))
    (difference,) = found.differences
    values = np.array([0.01, 0.03, 0.02])
    assert list(difference.values.values()) == pytest.approx(values)
    assert difference.mean == pytest.approx(values.mean())
    # The t of two degrees of freedom, from a table.
    half = 4.3027 * values.std(ddof=1) / np.sqrt(3)
    assert difference.interval == pytest.approx((0.02 - half, 0.02 + half), abs=1e-5)
    assert difference.verdict == "no difference shown (3 seeds)"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.5], "no conclusion (one seed)"),
        ([0.1, 0.2], "no conclusion (2 seeds are few)"),
        ([0.1, 0.1, 0.1], "no conclusion (the same difference in 3 seeds: its spread is not known)"),
        ([0.1, -0.1, 0.05], "no difference shown (3 seeds)"),
        ([0.1, 0.11, 0.12], "higher (3 seeds)"),
        ([-0.1, -0.11, -0.12], "lower (3 seeds)"),
    ],
)
def test_what_is_concluded(values: list[float], verdict: str) -> None:
    assert MetricDifference("top1", dict(enumerate(values))).verdict == verdict


def test_costs_are_ratios(pair: Pair) -> None:
    (found,) = compare(pair({0: 0.9}, {0: 0.8}))
    assert found.costs == {"parameters": 1.5, "MACs": 1.5, "training time": 1.0, "images/s": 1.0}


def test_times_of_different_machines_are_not_compared(make_run: MakeRun) -> None:
    runs = [make_run("a", metrics={}), make_run("b", "passes=[]", metrics={}, threads=1)]
    (section,), _ = make_sections(map(read_run, runs))
    (found,) = compare(section)
    assert found.costs == {"parameters": 1.0, "MACs": 1.0, "training time": None, "images/s": None}


def test_groups_without_a_common_seed_are_not_compared(pair: Pair) -> None:
    assert compare(pair({0: 0.9}, {1: 0.8})) == []


def test_a_seed_that_has_not_measured_a_metric_is_left_out(make_run: MakeRun) -> None:
    runs = [
        make_run("a", metrics={"AP": 0.5, "AP_L": None}),
        make_run("b", "title=a", "seed=1", metrics={"AP": 0.6, "AP_L": 0.3}),
        make_run("c", "passes=[]", metrics={"AP": 0.4, "AP_L": 0.3}),
        make_run("d", "title=c", "passes=[]", "seed=1", metrics={"AP": 0.4, "AP_L": 0.1}),
    ]
    (section,), _ = make_sections(map(read_run, runs))
    (found,) = compare(section)
    assert {entry.metric: list(entry.values) for entry in found.differences} == {"AP": [0, 1], "AP_L": [1]}


def test_a_metric_that_the_first_seed_has_not_is_compared_and_the_seed_is_told(make_run: MakeRun) -> None:
    for seed, own in enumerate(({"AP": 0.5}, {"AP": 0.6, "AP_L": 0.3}, {"AP": None, "AP_L": 0.2})):
        make_run(f"runs/a{seed}", "title=a", f"seed={seed}", metrics=own, macs=9)
        make_run(
            f"runs/b{seed}", "title=b", "passes=[]", f"seed={seed}", metrics={"AP": 0.4, "AP_L": 0.1, "AP_S": None}
        )
    found = report("runs", quiet=True)
    ((pair,),) = found.comparisons
    assert {entry.metric: list(entry.values) for entry in pair.differences} == {"AP": [0, 1], "AP_L": [1, 2]}
    told = [sentence for sentence in found.parts[0].sentences if "without" in sentence]
    why = "one of the two runs has no value of it that is a number."
    # No run has an AP_S, for the data have no small objects.
    assert told == [f"a - b is without seed 2 for AP: {why}", f"a - b is without seed 0 for AP_L: {why}"]


@pytest.fixture
def four(make_run: MakeRun) -> Section:
    """Two networks, each with and without passes."""
    networks = {"small": "cifar_resnet20", "large": "cifar_resnet56"}
    runs = [
        make_run(f"{name}{end}", f"architecture={network}", *changes, metrics={"top1": 0.5}, macs=len(name) + place)
        for place, (name, network) in enumerate(networks.items())
        for end, changes in (("", ["passes=[]"]), ("_spd", []))
    ]
    (section,), _ = make_sections(map(read_run, runs))
    return section


def test_a_converted_network_meets_itself_unconverted(four: Section) -> None:
    assert [found.name for found in compare(four)] == [
        "large - small",
        "small_spd - small",
        "large_spd - large",
    ]


def test_all_against_one_on_request(four: Section) -> None:
    assert [found.name for found in compare(four, "large_spd")] == [
        "small - large_spd",
        "large - large_spd",
        "small_spd - large_spd",
    ]
    assert compare(four, "another") == []

"""Whether anchors fit boxes, and the search for better ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from spdbuild.boxes.anchors import AnchorOptions, best_possible_recall, check_anchors, cluster, evolve

Array = NDArray[np.float64]
# YOLOv5's, for COCO at 640 pixels.
ANCHORS = np.array(
    [10, 13, 16, 30, 33, 23, 30, 61, 62, 45, 59, 119, 116, 90, 156, 198, 373, 326], dtype=np.float64
).reshape(3, 3, 2)
QUICK = AnchorOptions(generations=100)


def tiny_boxes(count: int = 500) -> Array:
    """Boxes of 2 to 7 pixels, too small for most anchors."""
    return np.random.default_rng(0).uniform(2, 7, (count, 2))


@pytest.mark.parametrize(
    ("size", "fits"), [((10, 13), True), ((39, 51), True), ((2.5, 13), False), ((2.6, 13), True), ((10, 400), False)]
)
def test_a_box_fits_if_no_side_is_four_times_longer_or_shorter(size: tuple[float, float], fits: bool) -> None:
    assert best_possible_recall(np.array([size]), np.array([[10.0, 13.0]])) == float(fits)


def test_recall_is_the_share_of_boxes_that_fit_any_anchor() -> None:
    sizes = np.array([[10.0, 10.0], [100.0, 100.0], [1.0, 1.0], [9.0, 300.0]])
    assert best_possible_recall(sizes, np.array([[[12.0, 12.0]], [[90.0, 90.0]]])) == 0.5
    assert best_possible_recall(sizes[:0], ANCHORS) == 1


def test_anchors_that_fit_are_kept() -> None:
    sizes = np.exp(np.random.default_rng(0).normal(np.log(60), 0.7, (500, 2)))
    check = check_anchors(sizes, ANCHORS)
    assert check.anchors is ANCHORS
    assert check.recall == check.recall_before > 0.98
    assert not check.replaced


def test_anchors_that_do_not_fit_are_replaced_by_better_ones_sorted_by_area() -> None:
    check = check_anchors(tiny_boxes(), ANCHORS, QUICK)
    assert check.replaced
    assert check.recall_before < 0.9
    assert check.recall > 0.99
    assert check.anchors.shape == ANCHORS.shape
    assert (np.diff(check.anchors.reshape(-1, 2).prod(axis=1)) > 0).all()
    assert check.anchors.min() >= 2


def test_the_search_depends_on_the_seed_alone() -> None:
    one, again, other = (check_anchors(tiny_boxes(), ANCHORS, QUICK, seed).anchors for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("sizes", [np.zeros((30, 2)), np.zeros((0, 2)), np.full((50, 2), 1.0)])
def test_no_box_of_a_usable_size_leaves_the_anchors(sizes: Array) -> None:
    assert check_anchors(sizes, ANCHORS).anchors is ANCHORS


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_fewer_sizes_than_anchors_get_anchors_that_all_of_them_fit(count: int) -> None:
    # As from points that were annotated, around each of which there is a box of a fixed size.
    sizes = np.repeat(np.geomspace(2, 2000, count)[:, None] * (1.0, 1.2), 40, axis=0)
    check, again = (check_anchors(sizes, np.full((3, 3, 2), 20_000.0), QUICK) for _ in range(2))
    assert (check.recall_before, check.recall) == (0, 1)
    np.testing.assert_array_equal(check.anchors, again.anchors)
    assert check.anchors.shape == (3, 3, 2)


def test_a_single_box_is_enough() -> None:
    check = check_anchors(np.array([[4.0, 5.0]]), ANCHORS[2:], QUICK)
    assert check.recall == 1


def test_fewer_different_boxes_among_those_drawn_than_anchors_get_anchors() -> None:
    # Nine sizes in all, and fewer among the 20,000 that are drawn.
    sizes = np.concatenate((np.full((60_000, 2), 5000.0), np.arange(1000, 1016, dtype=np.float64).reshape(8, 2)))
    assert check_anchors(sizes, ANCHORS).recall > 0.999


def test_any_number_of_levels_gets_anchors() -> None:
    given = np.full((2, 1, 2), 300.0)
    check = check_anchors(tiny_boxes(), given, QUICK)
    assert check.anchors.shape == (2, 1, 2)
    assert check.replaced


def test_clusters_are_the_means_of_separate_groups() -> None:
    random = np.random.default_rng(0)
    centres = np.array([[10.0, 20.0], [100.0, 30.0], [50.0, 300.0]])
    sizes = np.concatenate([centre + random.normal(0, 1, (50, 2)) for centre in centres])
    found = cluster(sizes, 3, random)
    means = np.stack([sizes[start : start + 50].mean(axis=0) for start in (0, 50, 100)])
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], means[np.argsort(means[:, 0])])


def test_clusters_are_about_as_tight_as_those_of_scikit_learn() -> None:
    sizes = np.exp(np.random.default_rng(1).normal(3, 0.8, (400, 2)))
    points = sizes / sizes.std(axis=0)
    theirs = KMeans(9, n_init=10, random_state=0).fit(points).inertia_
    means = cluster(sizes, 9, np.random.default_rng(0), iterations=100) / sizes.std(axis=0)
    ours = np.square(points[:, None] - means[None]).sum(axis=2).min(axis=1).sum()
    assert ours < 1.2 * theirs


def test_mutation_never_makes_the_fit_worse() -> None:
    sizes = np.exp(np.random.default_rng(1).normal(3, 0.8, (400, 2)))
    anchors = cluster(sizes, 3, np.random.default_rng(0))

    def fit(candidates: Array) -> float:
        ratio = sizes[:, None] / candidates[None]
        best = np.minimum(ratio, 1 / ratio).min(axis=2).max(axis=1)
        return float((best * (best > 0.25)).mean())

    evolved = evolve(anchors, sizes, np.random.default_rng(0), QUICK)
    assert fit(evolved) > fit(anchors)

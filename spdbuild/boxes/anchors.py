"""Check whether a head's anchors fit the boxes of a data set, and search for anchors that fit better.

Sizes are pairs (width, height) in pixels of the network's input. The fit of a box and an anchor is the smallest of the
four ratios between their widths and heights: 1 if they are equal, 1/4 if one side is four times longer or shorter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Random = np.random.Generator


@dataclass(frozen=True, slots=True)
class AnchorOptions:
    """Settings of the check; the defaults are those of YOLOv5.

    anchor_ratio: a box is learnable if an anchor's sides are less than this many times longer or shorter.
    min_recall: share of boxes that must be learnable; below it, new anchors are searched for.
    jitter: largest share by which the check scales boxes up or down, as augmentation will.
    min_side: in pixels; boxes with both sides below it are left out of the search, and no anchor becomes smaller.
    boxes: number of boxes, drawn at random, that the search uses.
    iterations: maximum number of k-means iterations.
    generations: number of generations of mutation after k-means.
    mutation_share, mutation_size: share of the anchors' sides that a generation changes, and the standard deviation of
        the changes.
    """

    anchor_ratio: float = 4.0
    min_recall: float = 0.98
    jitter: float = 0.1
    min_side: float = 2.0
    boxes: int = 20_000
    iterations: int = 30
    generations: int = 1000
    mutation_share: float = 0.9
    mutation_size: float = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class AnchorCheck:
    """The anchors to use [L, A, 2] in pixels, and the best possible recall before and with them."""

    anchors: Array
    recall_before: float
    recall: float

    @property
    def replaced(self) -> bool:
        return self.recall > self.recall_before


def best_possible_recall(sizes: Array, anchors: Array, anchor_ratio: float = 4.0) -> float:
    """Share of boxes [B, 2], none without area, that fit at least one of the anchors [..., 2]; 1 if there are none."""
    if not len(sizes):
        return 1.0
    return float((_best_fit(np.log(sizes), np.log(anchors.reshape(-1, 2))) > 1 / anchor_ratio).mean())


def check_anchors(sizes: Array, anchors: Array, options: AnchorOptions | None = None, seed: int = 0) -> AnchorCheck:
    """Keep the anchors [L, A, 2] if enough of the boxes [B, 2] fit them, or if no others are found that more boxes fit.

    Boxes without area are skipped. New anchors are sorted by area and assigned to the levels in order, which must begin
    with the finest.
    """
    options = options or AnchorOptions()
    random = np.random.default_rng(seed)
    sizes = sizes[(sizes > 0).all(axis=1)]
    seen = sizes * random.uniform(1 - options.jitter, 1 + options.jitter, (len(sizes), 1))
    before = best_possible_recall(seen, anchors, options.anchor_ratio)
    usable = sizes[(sizes >= options.min_side).any(axis=1)]
    count = anchors.size // 2
    usable = random.permutation(usable)[: options.boxes]
    if before >= options.min_recall or not len(usable):
        return AnchorCheck(anchors, before, before)
    distinct = np.unique(usable, axis=0)
    if len(distinct) < count:
        start = _scaled_copies(distinct, count, options.jitter)
    else:
        start = cluster(usable, count, random, options.iterations)
    found = evolve(start, usable, random, options)
    recall = best_possible_recall(seen, found, options.anchor_ratio)
    if recall <= before:
        return AnchorCheck(anchors, before, before)
    return AnchorCheck(found[np.argsort(found.prod(axis=1))].reshape(anchors.shape), before, recall)


def _scaled_copies(sizes: Array, count: int, jitter: float) -> Array:
    """`count` anchors [count, 2] made of fewer sizes: each size as it is scaled by several factors near 1."""
    factors = np.linspace(1 - jitter, 1 + jitter, -(-count // len(sizes)))
    return (factors[:, None, None] * sizes).reshape(-1, 2)[:count]


def cluster(sizes: Array, count: int, random: Random, iterations: int = 30) -> Array:
    """The `count` means [count, 2] of k-means over sizes [B, 2], each axis measured in its standard deviation.

    Source: Lloyd 1982; the initialization of Arthur and Vassilvitskii 2007, "k-means++".
    """
    deviation = sizes.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    points = sizes / scale
    means = _spread(points, count, random)
    for _ in range(iterations):
        nearest = _squared_distances(points, means).argmin(axis=1)
        members = np.bincount(nearest, minlength=count)[:, None]
        totals = np.stack([np.bincount(nearest, points[:, axis], count) for axis in (0, 1)], axis=1)
        moved = np.where(members > 0, totals / np.maximum(members, 1), means)
        if np.array_equal(moved, means):
            break
        means = moved
    return np.asarray(means * scale)


def evolve(anchors: Array, sizes: Array, random: Random, options: AnchorOptions) -> Array:
    """Anchors [A, 2] after random changes, each kept if it makes the boxes [B, 2] fit better."""
    best, logs = np.maximum(anchors, options.min_side), np.log(sizes)
    fitness = _fitness(logs, best, options.anchor_ratio)
    for _ in range(options.generations):
        changes = random.normal(0, options.mutation_size, best.shape)
        changed = random.uniform(size=best.shape) < options.mutation_share
        candidate = np.maximum(best * np.clip(1 + changes * changed, 0.3, 3.0), options.min_side)
        candidate_fitness = _fitness(logs, candidate, options.anchor_ratio)
        if candidate_fitness > fitness:
            best, fitness = candidate, candidate_fitness
    return best


def _fitness(log_sizes: Array, anchors: Array, anchor_ratio: float) -> float:
    """Mean fit of the boxes with their best anchor, where a box that is not learnable counts as 0."""
    fit = _best_fit(log_sizes, np.log(anchors))
    return float((fit * (fit > 1 / anchor_ratio)).mean())


def _best_fit(log_sizes: Array, log_anchors: Array) -> Array:
    """The fit of each box with its best anchor: logarithms [B, 2] and [A, 2] -> [B]."""
    # The smaller of r and 1/r is exp(-|log r|), which needs no division for the B x A pairs.
    width = np.abs(log_sizes[:, None, 0] - log_anchors[None, :, 0])
    height = np.abs(log_sizes[:, None, 1] - log_anchors[None, :, 1])
    return np.asarray(np.exp(-np.maximum(width, height).min(axis=1)))


def _spread(points: Array, count: int, random: Random) -> Array:
    """Points far apart: each is drawn with probability proportional to its squared distance to the nearest so far."""
    chosen: Array = points[random.integers(len(points))][None]
    for _ in range(count - 1):
        distance = _squared_distances(points, chosen).min(axis=1)
        following = points[random.choice(len(points), p=distance / distance.sum())]
        chosen = np.concatenate((chosen, following[None]))
    return chosen


def _squared_distances(points: Array, means: Array) -> Array:
    """[B, 2], [C, 2] -> [B, C]."""
    return np.asarray(np.square(points[:, None] - means[None]).sum(axis=2))

"""Cross-validation: training images in parts of equal size, each of which is evaluated on by one run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.listing import Listing
from spdbuild.errors import ArgumentError, DataError


class Folded(Protocol):
    """A data set with folds: how many, and the number, from 0, of the one that is evaluated on; 0 folds: none."""

    @property
    def folds(self) -> int: ...

    @property
    def fold(self) -> int: ...


def require_folds(owner: Folded) -> None:
    """Refuse numbers that say no fold; ArgumentError names the field."""
    folds, fold = owner.folds, owner.fold
    if folds < 0 or folds == 1:
        raise ArgumentError(f"folds must be 0, for none, or at least 2, got {folds}", argument="folds")
    if not folds and fold:
        raise ArgumentError(
            f"fold={fold} says which of the folds is evaluated on, and there are none",
            argument="fold",
            hint=f"say how many, such as folds: {max(5, fold + 1)}",
        )
    if folds and not 0 <= fold < folds:
        raise ArgumentError(f"fold must be between 0 and {folds - 1} with folds={folds}, got {fold}", argument="fold")


def fold_numbers(names: Sequence[str], labels: Sequence[int], folds: int) -> NDArray[np.int64]:
    """[N], the fold of each image, from 0.

    Of the images of a label, and of all images, any two folds have the same number or one more. The digests of the
    names decide, so neither a seed nor the order does; of the images that were there before others came, most stay
    where they were.
    """
    by_label = np.asarray(labels, np.int64)
    order = sorted(range(len(names)), key=lambda i: (by_label[i], name_digest(names[i])))
    found, dealt = np.empty(len(names), np.int64), 0
    for count in np.unique(by_label, return_counts=True)[1]:
        # What is left over goes on where that of the label before ended, or the first folds would have all of it.
        extra = (np.arange(folds) - dealt) % folds < count % folds
        found[order[dealt : dealt + count]] = np.repeat(np.arange(folds), count // folds + extra)
        dealt += int(count)
    return found


def part(names: Sequence[str], labels: Sequence[int], of: Folded, *, held_out: bool) -> list[int]:
    """The positions of the images in the fold that is evaluated on, or of the others; raises DataError for too few."""
    if len(names) < of.folds:
        raise DataError(
            f"{len(names)} images cannot be divided into folds={of.folds}",
            hint=f"add images, or take folds: {len(names)}" if len(names) > 1 else "add images",
        )
    inside = fold_numbers(names, labels, of.folds) == of.fold
    return [int(position) for position in np.flatnonzero(inside if held_out else ~inside)]


def listed_part(whole: Listing, of: Folded, *, held_out: bool) -> Listing:
    """The files of the fold that is evaluated on, or of the others; raises DataError for a class of one file."""
    counts = np.bincount(np.asarray(whole.labels, np.int64), minlength=len(whole.classes))
    for name, count in zip(whole.classes, counts, strict=True):
        if count == 1:
            raise DataError(
                f"the class '{name}' has one image in {whole.root}, and folds={of.folds} needs two",
                hint="add images, or leave the class out",
            )
    chosen = part([whole.name(path) for path in whole.paths], whole.labels, of, held_out=held_out)
    paths = tuple(whole.paths[position] for position in chosen)
    return replace(whole, paths=paths, labels=tuple(whole.labels[position] for position in chosen))


def name_digest(name: str) -> bytes:
    """What images are divided by: as good as random, and the same whatever others there are."""
    return hashlib.blake2b(os.fsencode(name)).digest()

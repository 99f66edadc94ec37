"""Cross-validation: training images in parts of equal size, each of which is evaluated on by one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spdbuild.data.division.grouped import grouped, groups_of, parts_of_groups, require_divided_classes
from spdbuild.data.division.name_digest import name_digest
from spdbuild.data.files.listing import Groups, Listing
from spdbuild.errors import ArgumentError, DataError
from spdbuild.text.together import pattern_of


class Folded(Protocol):
    """A data set with folds: how many, and the number, from 0, of the one that is evaluated on; 0 folds: none.

    together: pattern of what the names of images of one fold have in common; None: images are divided one by one.
    """

    @property
    def folds(self) -> int: ...

    @property
    def fold(self) -> int: ...

    @property
    def together(self) -> str | None: ...


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


def require_together(owner: Folded, *, divided: bool, hint: str) -> None:
    """Refuse a pattern that is none, or that nothing is divided by; ArgumentError names the field.

    hint: how the images of the owner can be divided.
    """
    if pattern_of(owner.together) is not None and not divided:
        message = f"together='{owner.together}' keeps images in one part, and they are not divided into any"
        raise ArgumentError(message, argument="together", hint=hint)


def part(
    names: Sequence[str], labels: Sequence[int], of: Folded, *, held_out: bool, classes: Sequence[Sequence[int]] = ()
) -> list[int]:
    """The positions of the images in the fold that is evaluated on, or of the others.

    Raises DataError if there are too few images, ArgumentError if there are too few groups.

    labels: of each image, for an even division. classes: those of each image's objects in their place, for groups.
    """
    _require_images(len(names), of.folds)
    groups = None if of.together is None else grouped(names, of.together)
    inside = _numbers(names, labels, of.folds, groups, classes) == of.fold
    return [int(position) for position in np.flatnonzero(inside if held_out else ~inside)]


def _require_images(count: int, folds: int) -> None:
    if count < folds:
        raise DataError(
            f"{count} images cannot be divided into folds={folds}",
            hint=f"add images, or take folds: {count}" if count > 1 else "add images",
        )


def _numbers(
    names: Sequence[str],
    labels: Sequence[int],
    folds: int,
    groups: Groups | None,
    classes: Sequence[Sequence[int]] = (),
) -> NDArray[np.int64]:
    """[N], the fold of each image; raises ArgumentError if there are too few groups."""
    if groups is None:
        return fold_numbers(names, labels, folds)
    count = len({*groups.numbers})
    if count < folds:
        another = ", or a pattern that tells more groups apart"
        raise ArgumentError(
            f"{count} groups of images, by {groups}, cannot be divided into folds={folds}",
            argument=groups.key,
            hint=f"take folds: {count}{another if groups.key == 'together' else ''}",
        )
    return parts_of_groups(names, classes or [[label] for label in labels], groups.numbers, [1 / folds] * folds)


def division(data_set: Any, trained: Sequence[str], held_out: Sequence[str], groups: Groups | None = None) -> str:
    """What part of its training images a data set holds out, in words; empty if its files have a split for that.

    trained, held_out: the names of the images to train on and of those to evaluate on.
    groups: of the ones held out and then of the others, if something other than their names says so.
    """
    share, folds = getattr(data_set, "val_share", 0), getattr(data_set, "folds", 0)
    if not share and not folds:
        return ""
    count = len(trained) + len(held_out)
    asked = f"val_share={share:g}" if share else f"fold {data_set.fold} of folds={folds}"
    told = f"val: {len(held_out) / count:.1%} of {count:,} training images, as {asked}"
    together = getattr(data_set, "together", None)
    if together is not None:
        groups = grouped([*held_out, *trained], together)
    if groups is None:
        return told
    return f"{told}; {len({*groups.numbers[: len(held_out)]})} of {len({*groups.numbers})} groups by {groups}"


def listed_division(data_set: Any, trained: Listing, held_out: Listing) -> str:
    """The same of a data set that lists its files."""
    groups = held_out.groups
    if groups is not None and trained.groups is not None:
        groups = replace(groups, numbers=groups.numbers + trained.groups.numbers)
    ours, theirs = ([listing.name(path) for path in listing.paths] for listing in (trained, held_out))
    return division(data_set, ours, theirs, groups)


def listed_part(whole: Listing, of: Folded, *, held_out: bool) -> Listing:
    """The files of the fold that is evaluated on, or of the others; raises DataError for a class within one fold."""
    counts = np.bincount(np.asarray(whole.labels, np.int64), minlength=len(whole.classes))
    for name, count in zip(whole.classes, counts, strict=True):
        if count == 1:
            raise DataError(
                f"the class '{name}' has one image in {whole.root}, and folds={of.folds} needs two",
                hint="add images, or leave the class out",
            )
    _require_images(len(whole.paths), of.folds)
    groups = groups_of(whole, of.together)
    numbers = _numbers([whole.name(path) for path in whole.paths], whole.labels, of.folds, groups)
    if groups is not None:
        require_divided_classes(whole, numbers, f"folds={of.folds}", groups)
    inside = numbers == of.fold
    return replace(whole.take(np.flatnonzero(inside if held_out else ~inside).tolist()), part_of=whole)

"""Groups of images that stay together: in folds, and in a share that is held out."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from spdbuild.data.division.folds import division, part
from spdbuild.data.division.grouped import parts_of_groups
from spdbuild.data.sets.folder import Folder
from spdbuild.errors import ArgumentError, DataError

from ..folds import Folds
from ..listed import files

#: A film and a label for each image.
Films = list[tuple[int, int]]
films = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2)), min_size=1, max_size=80)


def names_of(images: Films) -> list[str]:
    return [f"film{film}/{number}.png" for number, (film, _) in enumerate(images)]


def divided(images: Films, *shares: float) -> NDArray[np.int64]:
    found, labels = zip(*images, strict=True)
    return parts_of_groups(names_of(images), [[label] for label in labels], found, shares)


@given(films, st.integers(2, 6))
def test_a_film_is_in_one_fold_and_each_image_is_held_out_once(images: Films, folds: int) -> None:
    names, labels = names_of(images), [label for _, label in images]
    if len({film for film, _ in images}) < folds:
        return
    held_out = []
    for fold in range(folds):
        of = Folds(folds, fold, "^film[0-9]+")
        own, others = (part(names, labels, of, held_out=held) for held in (True, False))
        assert own
        assert sorted(own + others) == list(range(len(images)))
        assert not {images[place][0] for place in own} & {images[place][0] for place in others}
        held_out += own
    assert sorted(held_out) == list(range(len(images)))


@given(films, st.integers(2, 6))
def test_folds_differ_in_size_by_no_more_than_the_largest_film_has(images: Films, folds: int) -> None:
    of_one_class = [(film, 0) for film, _ in images]
    sizes = np.bincount(divided(of_one_class, *[1 / folds] * folds), minlength=folds)
    assert sizes.max() - sizes.min() <= np.bincount([film for film, _ in images]).max()


@given(films, st.floats(0.01, 0.99))
def test_a_share_is_met_within_half_of_the_largest_film(images: Films, share: float) -> None:
    """Unless a single film is more than that: no side is empty."""
    inside = divided([(film, 0) for film, _ in images], share, 1 - share) == 0
    lengths = np.bincount([film for film, _ in images])
    sides = [{images[place][0] for place in np.flatnonzero(side)} for side in (inside, ~inside)]
    if len(np.flatnonzero(lengths)) == 1:
        return
    assert all(sides)
    if min(map(len, sides)) > 1:
        assert abs(inside.sum() - share * len(images)) <= lengths.max() / 2 + 1e-6


@given(films, st.permutations(range(80)), st.sampled_from([(0.5, 0.5), (0.25, 0.75), (1 / 3, 1 / 3, 1 / 3)]))
def test_the_order_of_the_images_does_not_matter(images: Films, order: list[int], shares: tuple[float, ...]) -> None:
    order = [place for place in order if place < len(images)]
    names, found = names_of(images), [film for film, _ in images]
    classes = [[label] for _, label in images]
    again = parts_of_groups([names[i] for i in order], [classes[i] for i in order], [found[i] for i in order], shares)
    assert again.tolist() == divided(images, *shares)[order].tolist()


def unevenness(images: Films, folds: NDArray[np.int64], count: int) -> tuple[float, float]:
    """How much folds differ in size, and how much in their parts of each class, the mean; both as shares of all."""
    labels = np.array([label for _, label in images])
    sizes = [np.bincount(folds[labels == label], minlength=count) for label in np.unique(labels)]
    total = np.sum(sizes, axis=0)
    return float(np.ptp(total) / total.sum()), float(np.mean([np.std(own / own.sum()) for own in sizes]))


def films_of(seed: int, count: int, *, one_class: bool) -> Films:
    drawn = np.random.default_rng(seed)
    lengths, own = drawn.integers(1, 31, count), drawn.integers(3, size=count)
    return [
        (film, int(own[film]) if one_class else int(drawn.integers(3)))
        for film, length in enumerate(lengths)
        for _ in range(length)
    ]


@pytest.mark.parametrize("one_class", [True, False])
def test_folds_are_about_as_even_as_those_of_scikit_learn(one_class: bool) -> None:
    selection = pytest.importorskip("sklearn.model_selection", reason="scikit-learn is not installed")
    ours, theirs = [], []
    for seed in range(20):
        images = films_of(seed, 25, one_class=one_class)
        found, labels = zip(*images, strict=True)
        ours.append(unevenness(images, divided(images, *[0.2] * 5), 5))
        folds = np.empty(len(images), np.int64)
        for fold, (_, own) in enumerate(selection.StratifiedGroupKFold(5).split(found, labels, found)):
            folds[own] = fold
        theirs.append(unevenness(images, folds, 5))
    size, classes = np.mean(ours, axis=0) / np.mean(theirs, axis=0)
    assert size < 0.8
    assert classes < 1.4


def test_a_share_is_about_as_near_as_any_choice_of_films_comes() -> None:
    missed, least = [], []
    for seed in range(30):
        images = [(film, 0) for film, _ in films_of(seed, 8, one_class=True)]
        lengths = np.bincount([film for film, _ in images])
        missed.append(abs(np.mean(divided(images, 0.2, 0.8) == 0) - 0.2))
        chosen = itertools.chain.from_iterable(itertools.combinations(lengths, count) for count in range(1, 8))
        least.append(min(abs(sum(own) / len(images) - 0.2) for own in chosen))
    assert np.mean(missed) < np.mean(least) + 0.03


def test_of_a_class_of_two_films_each_side_has_one() -> None:
    """The share alone would hold out none of the first class."""
    images = [(film, 0) for film in (0, 1) for _ in range(10)] + [(film, 1) for film in range(2, 40) for _ in range(10)]
    held_out = divided(images, 0.05, 0.95) == 0
    assert sum(held_out[:20]) == 10


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=1, max_size=12),
    st.sampled_from([(0.1, 0.9), (0.8, 0.2), (1 / 3, 1 / 3, 1 / 3)]),
)
def test_no_part_has_all_films_of_a_class(own: list[tuple[int, int]], shares: tuple[float, ...]) -> None:
    images = [(film, label) for film, (label, length) in enumerate(own) for _ in range(length)]
    found = divided(images, *shares)
    for label in range(3):
        if sum(label == other for other, _ in own) > 1:
            assert len({int(fold) for fold, image in zip(found, images, strict=True) if image[1] == label}) > 1


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """Twelve patients of two classes with 1 to 6 images each, below train/."""
    for number in range(12):
        folder = tmp_path / "train" / ("ill" if number % 2 else "sound")
        folder.mkdir(parents=True, exist_ok=True)
        for image in range(1 + number // 2):
            Image.new("RGB", (8, 8)).save(folder / f"p{number}_{image}.png")
    return tmp_path


def patients_in(names: set[str]) -> set[str]:
    return {re.sub(r".*/(p\d+)_.*", r"\1", name) for name in names}


@pytest.mark.parametrize("fields", [{"val_share": 0.25}, {"folds": 3, "fold": 1}])
def test_class_folders_are_divided_by_patients(patients: Path, fields: dict[str, object]) -> None:
    alone, data = (Folder(str(patients), together=together, **fields) for together in (None, r"p\d+"))  # type: ignore[arg-type]
    assert patients_in(files(alone, "train")) & patients_in(files(alone, "val"))
    train, val = files(data, "train"), files(data, "val")
    assert not patients_in(train) & patients_in(val)
    assert len(train | val) == len(train) + len(val) == 42
    assert {name.split("/")[0] for name in train} == {name.split("/")[0] for name in val} == {"ill", "sound"}
    assert data.splits == ("train", "val")


def test_what_is_held_out_is_told(patients: Path) -> None:
    data = Folder(str(patients), val_share=0.25)
    assert told(data) == "val: 23.8% of 42 training images, as val_share=0.25"
    data = replace(data, together=r"p\d+")
    val = files(data, "val")
    share = f"{len(val) / 42:.1%}"
    assert told(data) == (
        f"val: {share} of 42 training images, as val_share=0.25; "
        rf"{len(patients_in(val))} of 12 groups by together='p\d+'"
    )
    assert told(replace(data, val_share=0, folds=3, fold=2)).startswith(
        "val: 33.3% of 42 training images, as fold 2 of folds=3; "
    )
    assert told(Folder("root")) == ""


def told(data: Folder) -> str:
    return division(
        data, *(sorted(files(data, split)) if data.folds or data.val_share else () for split in ("train", "val"))
    )


@pytest.mark.parametrize(
    ("fields", "message", "hint"),
    [
        ({"folds": 3, "together": "p("}, r"'p\(' is no regular expression", r"for example '^(\d+)_', or 'patient\d+'"),
        (
            {"together": "p"},
            "together='p' keeps images in one part, and they are not divided into any",
            "say val_share: 0.2 or folds: 5, or leave it out",
        ),
    ],
)
def test_patterns_that_make_no_sense(fields: dict[str, object], message: str, hint: str) -> None:
    with pytest.raises(ArgumentError, match=message) as raised:
        Folder("root", **fields)  # type: ignore[arg-type]
    assert (raised.value.argument, raised.value.problems[0].hint) == ("together", hint)


def test_fewer_groups_than_folds(patients: Path) -> None:
    data = Folder(str(patients), folds=4, together="ill|sound")
    with pytest.raises(
        ArgumentError, match="2 groups of images, by together=.*, cannot be divided into folds=4"
    ) as raised:
        data.open("train")
    assert raised.value.argument == "together"
    assert raised.value.problems[0].hint == "take folds: 2, or a pattern that tells more groups apart"


@pytest.mark.parametrize("fields", [{"val_share": 0.5}, {"folds": 2}])
def test_a_class_of_one_group_cannot_be_divided(
    class_folders_of: Callable[..., Path], fields: dict[str, object]
) -> None:
    root = class_folders_of(cat=5, dog=4)
    data = Folder(str(root), train=".", together="^cat/.|^dog", **fields)  # type: ignore[arg-type]
    with pytest.raises(
        DataError, match=r"the class 'dog' has all of its 4 images in .* in one part with .* and together"
    ):
        data.open("val")

"""Painted objects are found where the labels say, whatever is done to the image."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spdbuild.data.detection.augment import Augmenter
from spdbuild.data.detection.fetch import Fetcher
from spdbuild.data.detection.labels import Labels
from spdbuild.data.detection.options import Backend, DetectionAugmentation
from spdbuild.data.detection.raster import open_raster
from spdbuild.data.detection.store import Decoded
from spdbuild.data.detection.table import DetectionSet, Pixels
from spdbuild.errors import ArgumentError

SIZE = 128
WITHOUT_OPENCV = pytest.mark.skipif(find_spec("cv2") is None, reason="OpenCV is an extra and not installed")
BACKENDS = ("torch", pytest.param("opencv", marks=WITHOUT_OPENCV))
#: Nothing but the image itself in its letterbox.
STILL = {
    "mosaic": 0.0,
    "translate": 0.0,
    "scale": 0.0,
    "hue": 0.0,
    "saturation": 0.0,
    "value": 0.0,
    "flip_horizontal": 0.0,
}
#: Cases of the options, each alone and then together.
CASES = {
    "letterbox": {},
    "translate": {"translate": 0.4},
    "scale": {"scale": 0.6},
    "rotation": {"degrees": 60.0},
    "shear": {"shear": 20.0},
    "perspective": {"perspective": 0.001},
    "flips": {"flip_vertical": 0.5, "flip_horizontal": 0.5},
    "mosaic": {"mosaic": 1.0},
    "mosaic, moved": {"mosaic": 1.0, "translate": 0.2, "scale": 0.5},
    "copy-paste": {"mosaic": 1.0, "copy_paste": 1.0},
    "all": {
        "mosaic": 0.7,
        "copy_paste": 0.5,
        "translate": 0.2,
        "scale": 0.5,
        "degrees": 30.0,
        "shear": 10.0,
        "perspective": 0.0005,
        "flip_vertical": 0.5,
        "flip_horizontal": 0.5,
    },
}


def sample(
    dataset: DetectionSet, index: int, seed: int, backend: Backend = "torch", **options: float
) -> tuple[Pixels, Labels]:
    fetcher = Fetcher(dataset, Decoded(dataset, SIZE), SIZE, 0)
    chosen = DetectionAugmentation(**{**STILL, **options})  # type: ignore[arg-type]
    augmenter = Augmenter(fetcher.read, range(len(dataset)), chosen, SIZE, open_raster(backend))
    return augmenter.sample(index, np.random.default_rng(seed))


def mask_of(image: Pixels, colour: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels that have a colour, but for a little of the grey beside it."""
    distance = image.astype(int) - colour
    return np.asarray(abs(distance).max(axis=2) < 56)


def extent(mask: NDArray[np.bool_], box: NDArray[np.float64]) -> tuple[float, ...]:
    """The extent of the pixels in or next to a box."""
    around = np.zeros_like(mask)
    left, top = np.maximum(np.floor(box[:2]) - 2, 0).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int) + 2
    around[top:bottom, left:right] = mask[top:bottom, left:right]
    y, x = np.nonzero(around)
    return (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else (np.inf,) * 4


PROPERTY = settings(
    max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def is_alone(box: NDArray[np.float64], labels: Labels) -> bool:
    """Whether no other object is near: one that was pasted may hide an edge."""
    others = labels.boxes_xyxy + (-4, -4, 4, 4)
    apart = (others[:, 2:] < box[:2]).any(axis=1) | (others[:, :2] > box[2:]).any(axis=1)
    return bool(apart.sum() == len(labels) - 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
@PROPERTY
@given(index=st.integers(0, 7), seed=st.integers(0, 2**32))
def test_a_box_is_the_extent_of_what_is_seen(
    case: str, backend: Backend, painted: DetectionSet, colours: NDArray[np.uint8], index: int, seed: int
) -> None:
    image, labels = sample(painted, index, seed, backend, **CASES[case])
    # A slanted corner is thinner than a pixel at its end.
    tolerance = 1.0 if not {"degrees", "shear", "perspective"} & set(CASES[case]) else 3.0
    alone = [is_alone(box, labels) for box in labels.boxes_xyxy]
    for box, class_ in zip(labels.boxes_xyxy[alone], labels.classes[alone], strict=True):
        seen = extent(mask_of(image, colours[class_]), box)
        assert np.abs(np.array(seen) - box).max() <= tolerance, (box, seen)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
@PROPERTY
@given(index=st.integers(0, 7), seed=st.integers(0, 2**32))
def test_what_is_seen_has_a_box(
    case: str, backend: Backend, painted: DetectionSet, colours: NDArray[np.uint8], index: int, seed: int
) -> None:
    image, labels = sample(painted, index, seed, backend, **CASES[case])
    for class_ in range(8):
        mask = mask_of(image, colours[class_])
        for left, top, right, bottom in labels.boxes_xyxy[labels.classes == class_]:
            mask[max(0, int(top) - 1) : int(bottom) + 2, max(0, int(left) - 1) : int(right) + 2] = False
        # What is left is at most three pixels wide, or a hundredth of an object.
        y, x = np.nonzero(mask)
        assert not len(x) or min(np.ptp(x), np.ptp(y)) < 4 or mask.sum() < 80


@pytest.mark.parametrize("case", CASES)
def test_most_samples_have_objects(case: str, painted: DetectionSet) -> None:
    assert sum(len(sample(painted, 0, seed, **CASES[case])[1]) > 0 for seed in range(10)) >= 7


def test_without_options_the_sample_is_the_letterboxed_image(painted: DetectionSet) -> None:
    image, labels = sample(painted, 1, 0)
    assert image.shape == (128, 128, 3)
    assert (image[:4] == 114).all()
    assert (image[124:] == 114).all()
    left, top, right, bottom = painted.of_image(1).boxes_xyxy[0]
    assert labels.boxes_xyxy.tolist() == [[left, top + 4, right, bottom + 4]]


def test_a_mosaic_shows_four_images_around_a_point(painted: DetectionSet) -> None:
    fetcher = Fetcher(painted, Decoded(painted, SIZE), SIZE, 0)
    options = DetectionAugmentation(**{**STILL, "mosaic": 1.0})  # type: ignore[arg-type]
    asked = []

    def read(index: int) -> tuple[NDArray[np.uint8], Labels]:
        asked.append(index)
        return fetcher.read(index)

    Augmenter(read, [2, 3], options, SIZE, open_raster("torch")).sample(5, np.random.default_rng(0))
    assert len(asked) == 4
    assert asked.count(5) == 1
    assert set(asked) <= {2, 3, 5}


def test_mixup_blends_two_mosaics_and_keeps_the_labels_of_both(painted: DetectionSet) -> None:
    many = [len(sample(painted, 0, seed, mosaic=1.0)[1]) for seed in range(20)]
    mixed = [len(sample(painted, 0, seed, mosaic=1.0, mixup=1.0)[1]) for seed in range(20)]
    assert 1.5 < np.mean(mixed) / np.mean(many) < 2.5
    image, _ = sample(painted, 0, 0, mosaic=1.0, mixup=1.0)
    # Where both show grey it stays; pure colours are gone but where both have the same one.
    assert (image == 114).all(axis=2).any() or (image == 113).all(axis=2).any()


@PROPERTY
@given(index=st.integers(0, 7), seed=st.integers(0, 2**32))
def test_boxes_of_a_blend_are_those_of_what_was_blended(painted: DetectionSet, index: int, seed: int) -> None:
    def boxes(**options: float) -> tuple[Pixels, NDArray[np.float64]]:
        image, labels = sample(painted, index, seed, **options)
        return image, labels.boxes_xyxy

    (first, own), (blend, both) = boxes(mosaic=1.0), boxes(mosaic=1.0, mixup=1.0)
    # The first mosaic is drawn first, so it is the same; the second is what the blend adds.
    assert both[: len(own)].tolist() == own.tolist()
    for left, top, right, bottom in both[len(own) :].round().astype(int):
        inside = np.s_[top + 1 : max(top + 2, bottom - 1), left + 1 : max(left + 2, right - 1)]
        # Where the first shows grey, the second's colour is in the blend: it is not grey any more.
        bare = (first[inside] == 114).all(axis=2)
        assert not bare.any() or (blend[inside][bare] != 114).any(axis=1).mean() > 0.9


def test_only_hue_saturation_and_value_leave_the_boxes_alone(painted: DetectionSet) -> None:
    still, labels = sample(painted, 3, 1)
    coloured, same = sample(painted, 3, 1, hue=0.1, saturation=0.5, value=0.5)
    assert labels.boxes_xyxy.tolist() == same.boxes_xyxy.tolist()
    assert (still != coloured).any()


def test_the_same_generator_gives_the_same_sample(painted: DetectionSet) -> None:
    first, second = (sample(painted, 2, 7, **CASES["all"]) for _ in range(2))
    assert (first[0] == second[0]).all()
    assert first[1].boxes_xyxy.tolist() == second[1].boxes_xyxy.tolist()
    assert (first[0] != sample(painted, 2, 8, **CASES["all"])[0]).any()


@pytest.mark.parametrize("name", ["mixup", "copy_paste"])
def test_what_changes_mosaics_is_refused_without_any(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name} changes mosaics, and there are none"):
        DetectionAugmentation(mosaic=0, **{name: 0.1})
    closed = DetectionAugmentation(close_mosaic=1, **{name: 0.1}).at(9, 10)
    assert (closed.mosaic, getattr(closed, name)) == (0, 0)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from spdbuild.boxes.boxes import cxcywh_to_xyxy, fractions_to_pixels
from spdbuild.data.detection.batch import DetectionBatch
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.fetch import Fetcher
from spdbuild.data.detection.loader import DetectionLoader
from spdbuild.data.detection.options import DetectionAugmentation
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import DataError, RecipeError

AUGMENT = DetectionAugmentation(mixup=0.3, degrees=5)


def epoch_of(dataset: DetectionSet, epoch: int = 0, start: int = 0, **options: Any) -> list[DetectionBatch]:
    loader = DetectionLoader(dataset, options.pop("batch", 4), 64, **options)
    loader.set_epoch(epoch, start)
    return list(loader)


def equal(first: list[DetectionBatch], second: list[DetectionBatch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a.images, b.images) and torch.equal(a.targets, b.targets) and torch.equal(a.indices, b.indices)
        for a, b in zip(first, second, strict=True)
    )


@pytest.fixture(scope="module")
def dataset() -> DetectionSet:
    return TinyObjects(images=10, size=64, largest=12).open("train")


@pytest.mark.parametrize("partners", ["any", "batch"])
def test_workers_change_nothing(dataset: DetectionSet, partners: Any) -> None:
    augment = DetectionAugmentation(mixup=0.3, partners=partners)
    alone = epoch_of(dataset, 3, augment=augment, shuffle=True)
    assert equal(alone, epoch_of(dataset, 3, augment=augment, shuffle=True, workers=2))


def test_caches_change_nothing(dataset: DetectionSet, tmp_path: Path) -> None:
    plain = epoch_of(dataset, augment=AUGMENT, shuffle=True, cache="none")
    assert equal(plain, epoch_of(dataset, augment=AUGMENT, shuffle=True, cache="auto"))
    assert equal(plain, epoch_of(dataset, augment=AUGMENT, shuffle=True, cache="auto", workers=2))
    assert equal(plain, epoch_of(dataset, augment=AUGMENT, shuffle=True, cache="ram"))
    assert equal(plain, epoch_of(dataset, augment=AUGMENT, shuffle=True, cache="disk", cache_folder=tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["ram", "disk"])
def test_workers_that_are_not_forked_change_nothing(dataset: DetectionSet, tmp_path: Path, cache: Any) -> None:
    alone = epoch_of(dataset, 3, augment=AUGMENT, shuffle=True)
    loader = DetectionLoader(
        dataset, 4, 64, augment=AUGMENT, shuffle=True, workers=2, cache=cache, cache_folder=tmp_path
    )
    loader._workers._loader.multiprocessing_context = "spawn"
    loader.set_epoch(3)
    assert equal(alone, list(loader))


def test_epochs_and_seeds_differ_and_repeat(dataset: DetectionSet) -> None:
    first = epoch_of(dataset, 0, augment=AUGMENT, shuffle=True)
    assert equal(first, epoch_of(dataset, 0, augment=AUGMENT, shuffle=True))
    assert not equal(first, epoch_of(dataset, 1, augment=AUGMENT, shuffle=True))
    assert not equal(first, epoch_of(dataset, 0, augment=AUGMENT, shuffle=True, seed=1))


def test_an_epoch_can_begin_in_its_middle(dataset: DetectionSet) -> None:
    whole = epoch_of(dataset, 2, augment=AUGMENT, shuffle=True)
    assert equal(whole[1:], epoch_of(dataset, 2, 1, augment=AUGMENT, shuffle=True))


@pytest.mark.parametrize("partners", ["any", "batch"])
def test_all_ranks_together_have_the_batch_of_one_process(dataset: DetectionSet, partners: Any) -> None:
    options = {"augment": DetectionAugmentation(partners=partners), "shuffle": True, "drop_last": True}
    whole = epoch_of(dataset, 1, **options)
    ranks = [epoch_of(dataset, 1, rank=rank, world=2, **options) for rank in range(2)]
    for batch, *parts in zip(whole, *ranks, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.images, batch.images[rank::2])
            own = batch.targets[batch.targets[:, 0] % 2 == rank]
            own[:, 0] = own[:, 0].div(2, rounding_mode="floor")
            assert torch.equal(part.targets, own)


#: Of ten images the last one is drawn four times, and the others two times in three.
WEIGHTS = torch.tensor([2.0] * 9 + [12.0], dtype=torch.float64)


def test_an_image_that_is_drawn_again_is_augmented_anew(dataset: DetectionSet) -> None:
    options: dict[str, Any] = {"augment": DetectionAugmentation(mosaic=0), "shuffle": True, "batch": 10}
    (batch,) = epoch_of(dataset, 1, weights=WEIGHTS, **options)
    rows = (batch.indices == 9).nonzero().flatten().tolist()
    assert len(rows) == 4
    assert not any(torch.equal(batch.images[a], batch.images[b]) for a in rows for b in rows if a < b)
    # The first time as without sampling.
    (plain,) = epoch_of(dataset, 1, **options)
    assert torch.equal(batch.images[rows[0]], plain.images[plain.indices.tolist().index(9)])


@pytest.mark.parametrize("partners", ["any", "batch"])
def test_weights_change_neither_with_workers_nor_ranks_nor_a_start_in_the_middle(
    dataset: DetectionSet, partners: Any
) -> None:
    augment = DetectionAugmentation(mixup=0.3, partners=partners)
    options: dict[str, Any] = {"augment": augment, "shuffle": True, "weights": WEIGHTS}
    whole = epoch_of(dataset, 3, **options)
    assert equal(whole, epoch_of(dataset, 3, workers=2, **options))
    assert equal(whole[1:], epoch_of(dataset, 3, 1, **options))
    ranks = [epoch_of(dataset, 3, rank=rank, world=2, **options) for rank in range(2)]
    for batch, *parts in zip(whole, *ranks, strict=True):
        for rank, part in enumerate(parts):
            assert torch.equal(part.images, batch.images[rank::2])
            assert torch.equal(part.indices, batch.indices[rank::2])


def test_partners_in_mosaics_are_drawn_as_often_as_images(
    dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = torch.tensor([1e-9] * 9 + [1.0], dtype=torch.float64)
    drawn, read = list[int](), Fetcher.read
    monkeypatch.setattr(Fetcher, "read", lambda self, index: drawn.append(index) or read(self, index))
    epoch_of(dataset, augment=DetectionAugmentation(), shuffle=True, weights=weights)
    assert set(drawn) == {9}
    assert len(drawn) == 40


@pytest.mark.parametrize("rectangular", [False, True])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_sees_every_image_once(dataset: DetectionSet, world: int, rectangular: bool) -> None:
    ranks = [epoch_of(dataset, rank=rank, world=world, rectangular=rectangular) for rank in range(world)]
    seen = [index for batches in ranks for batch in batches for index in batch.indices.tolist()]
    assert sorted(seen) == list(range(10))


def test_training_sees_every_image_once(dataset: DetectionSet) -> None:
    batches = epoch_of(dataset, 5, shuffle=True, augment=AUGMENT)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    order = [index for batch in batches for index in batch.indices.tolist()]
    assert sorted(order) == list(range(10)) != order


def test_rectangular_batches_have_the_published_shapes(document: Any, write_coco: Callable[..., Any]) -> None:
    # By hand: ceil(height / width * 64 / 32 + pad) * 32 for the tallest image of the batch, and the same for the width.
    sizes = {"a": (64, 48), "b": (64, 64), "c": (48, 96), "d": (32, 64)}
    document["images"] = [
        {"id": number, "file_name": f"{name}.png", "width": width, "height": height}
        for number, (name, (height, width)) in enumerate(sizes.items(), 1)
    ]
    document["annotations"] = []
    dataset = read_coco(*write_coco(document))
    half = epoch_of(dataset, rectangular=True, batch=2)
    assert [tuple(batch.images.shape[2:]) for batch in half] == [(64, 96), (96, 96)]
    ids = [[dataset.images[index].id for index in batch.indices.tolist()] for batch in half]
    assert ids == [[3, 4], [2, 1]]
    none = epoch_of(dataset, rectangular=True, batch=2, pad=0.0)
    assert [tuple(batch.images.shape[2:]) for batch in none] == [(32, 64), (64, 64)]


@pytest.mark.parametrize("rectangular", [False, True])
def test_letterboxed_objects_are_where_the_targets_say(
    painted: DetectionSet, colours: NDArray[np.uint8], rectangular: bool
) -> None:
    (batch,) = epoch_of(painted, batch=8, rectangular=rectangular)
    height, width = batch.images.shape[2:]
    boxes = fractions_to_pixels(cxcywh_to_xyxy(batch.targets[:, 2:]), height, width)
    for position, class_, box in zip(*batch.targets[:, :2].int().T.tolist(), boxes, strict=True):
        seen = (batch.images[position].permute(1, 2, 0).numpy() - colours[class_].astype(int)).__abs__().max(2) < 56
        y, x = np.nonzero(seen)
        assert np.abs(np.array((x.min(), y.min(), x.max() + 1, y.max() + 1)) - box.numpy()).max() <= 1
        original = painted.of_image(int(batch.indices[position])).boxes_xyxy[0]
        back = batch.letterboxes[position].to_source(box[None].double())[0].numpy()
        assert back == pytest.approx(original, abs=1e-4)


def test_the_batch_has_the_promised_form(dataset: DetectionSet) -> None:
    batch = epoch_of(dataset, augment=AUGMENT, shuffle=True)[0]
    assert (batch.images.dtype, batch.images.shape) == (torch.uint8, (4, 3, 64, 64))
    assert (batch.targets.dtype, batch.targets.shape[1]) == (torch.float32, 6)
    assert ((batch.targets[:, 2:] >= 0) & (batch.targets[:, 2:] < 1)).all()
    assert batch.letterboxes == ()


def test_multi_scale_changes_whole_batches(dataset: DetectionSet) -> None:
    augment = DetectionAugmentation(multi_scale=0.5)
    batches = [batch for epoch in range(6) for batch in epoch_of(dataset, epoch, augment=augment, shuffle=True)]
    assert {tuple(batch.images.shape[2:]) for batch in batches} == {(32, 32), (64, 64), (96, 96)}


def test_boxes_of_every_scale_are_the_same_shares_of_the_image(dataset: DetectionSet) -> None:
    still = {"mosaic": 0, "translate": 0, "scale": 0, "hue": 0, "saturation": 0, "value": 0, "flip_horizontal": 0}
    augment = DetectionAugmentation(multi_scale=0.5, **still)  # type: ignore[arg-type]
    plain = epoch_of(dataset)
    sides = set()
    for epoch in range(6):
        for batch, expected in zip(epoch_of(dataset, epoch, augment=augment), plain, strict=True):
            sides.add(batch.images.shape[2])
            # Letterboxes of other sizes differ by the rounding of their padding, a pixel at most.
            assert torch.allclose(batch.targets, expected.targets, atol=1 / batch.images.shape[2])
    assert sides == {32, 64, 96}


def test_the_last_epochs_have_no_mosaics(dataset: DetectionSet) -> None:
    still = {"translate": 0, "scale": 0, "hue": 0, "saturation": 0, "value": 0, "flip_horizontal": 0}
    augment = DetectionAugmentation(mosaic=1, close_mosaic=2, **still)  # type: ignore[arg-type]
    plain = epoch_of(dataset)
    closed = epoch_of(dataset, 8, augment=augment, epochs=10)
    assert all(torch.equal(a.images, b.images) for a, b in zip(plain, closed, strict=True))
    open_still = epoch_of(dataset, 7, augment=augment, epochs=10)
    assert not any(torch.equal(a.images, b.images) for a, b in zip(plain, open_still, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 50}, "(?s)the image size must be a multiple of 32, got 50.*use 64"),
        ({"rectangular": True, "shuffle": True}, "neither shuffled nor augmented"),
        ({"batch": 16, "drop_last": True}, "a batch of 16 is larger than the data set of 10 images"),
        ({"batch": 9, "shuffle": True, "world": 2}, "the last batch of an epoch has 1 of 10 images for 2 processes"),
    ],
)
def test_batches_that_cannot_be_are_refused(dataset: DetectionSet, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        DetectionLoader(dataset, **{"batch": 4, "size": 64, **options})


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_cannot_be_read_is_named(document: Any, write_coco: Callable[..., Any], workers: int) -> None:
    dataset = read_coco(*write_coco(document))
    path = dataset.images[0].path
    assert path is not None
    path.write_bytes(b"\xff\xd8\xff broken")
    with pytest.raises(DataError, match=r"a\.png"):
        epoch_of(dataset, workers=workers)


def test_coco_mini_gives_batches_with_objects(data_folder: Path) -> None:
    root = data_folder / "coco-mini"
    dataset = read_coco(root / "annotations" / "instances_train2017.json", root / "train2017").subset(range(16))
    augment = DetectionAugmentation(mixup=0.2, copy_paste=0.3, degrees=5, shear=2, perspective=0.0001)
    for batch in epoch_of(dataset, augment=augment, shuffle=True, batch=8):
        assert len(batch.targets) > 8
        assert torch.isfinite(batch.targets).all()

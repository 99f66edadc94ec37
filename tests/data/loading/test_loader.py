from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from spdbuild.data import DATASETS, ArrayImages, FileImages, Loader
from spdbuild.data.augment import AUGMENTATIONS, Augmentation
from spdbuild.data.loading import loader as loading
from spdbuild.errors import DataError, RecipeError
from spdbuild.system import memory


def every_augmentation() -> list[Augmentation]:
    """All of them in one row, those that give floats at the end."""
    examples = [cls.example() for _, cls in AUGMENTATIONS.items()]
    return sorted(examples, key=lambda augmentation: augmentation.mixes or augmentation.name == "normalize")


def numbers(batch: tuple[Tensor, Tensor]) -> list[int]:
    """Which of `ten_images` are in a batch."""
    return (batch[0][:, 0, 0, 0] * 25.5).round().int().tolist()


def same(one: Sequence[tuple[Tensor, Tensor]], other: Sequence[tuple[Tensor, Tensor]]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(one, other, strict=True)
    )


def noise(count: int) -> ArrayImages:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return ArrayImages(images, torch.arange(count) % 3, ("a", "b", "c"))


def test_without_shuffling_every_image_comes_once_in_order(ten_images: ArrayImages) -> None:
    batches = list(Loader(ten_images, 4, shuffle=False))
    assert [numbers(batch) for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [labels.tolist() for _, labels in batches] == [[0, 1, 2, 0], [1, 2, 0, 1], [2, 0]]


def test_pixels_are_floats_from_0_to_1(ten_images: ArrayImages) -> None:
    images, labels = next(iter(Loader(ten_images, 10, shuffle=False)))
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert images[9].unique().item() == pytest.approx(90 / 255)


@pytest.mark.parametrize("channels_last", [True, False])
def test_the_memory_format_is_the_one_asked_for(ten_images: ArrayImages, channels_last: bool) -> None:
    images, _ = next(iter(Loader(ten_images, 4, shuffle=True, channels_last=channels_last)))
    wanted = torch.channels_last if channels_last else torch.contiguous_format
    assert images.is_contiguous(memory_format=wanted)


def test_shuffling_gives_every_image_once_and_another_order_in_every_epoch(ten_images: ArrayImages) -> None:
    loader = Loader(ten_images, 4, shuffle=True)
    orders = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        orders.append([number for batch in loader for number in numbers(batch)])
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len(set(map(tuple, orders))) == 3


def test_another_seed_gives_another_order(ten_images: ArrayImages) -> None:
    one, other = (next(iter(Loader(ten_images, 10, shuffle=True, seed=seed))) for seed in (0, 1))
    assert numbers(one) != numbers(other)


def test_a_last_batch_that_is_not_full_can_be_dropped(ten_images: ArrayImages) -> None:
    loader = Loader(ten_images, 4, shuffle=True, drop_last=True)
    assert [len(labels) for _, labels in loader] == [4, 4]
    assert len(loader) == 2


@pytest.mark.parametrize("start", range(4))
def test_an_epoch_entered_in_the_middle_goes_on_as_if_it_had_not_stopped(start: int) -> None:
    augment = every_augmentation()
    whole = Loader(noise(20), 6, shuffle=True, augment=augment)
    entered = Loader(noise(20), 6, shuffle=True, augment=augment)
    whole.set_epoch(3)
    entered.set_epoch(3, start)
    assert same(list(entered), list(whole)[start:])
    assert len(entered) == 4


def test_the_next_epoch_starts_at_its_beginning_again(ten_images: ArrayImages) -> None:
    loader = Loader(ten_images, 4, shuffle=True)
    loader.set_epoch(0, 2)
    loader.set_epoch(1)
    assert len(list(loader)) == 3


@pytest.mark.parametrize("world", [2, 3, 4])
def test_all_ranks_together_have_the_batches_of_one_process(world: int) -> None:
    """Bit for bit, with every augmentation, also those that mix samples of different ranks."""
    augment = every_augmentation()
    alone = list(Loader(noise(22), 9, shuffle=True, augment=augment))
    ranks = [list(Loader(noise(22), 9, shuffle=True, augment=augment, rank=r, world=world)) for r in range(world)]
    for index, (images, labels) in enumerate(alone):
        for rank in range(world):
            assert torch.equal(ranks[rank][index][0], images[rank::world])
            assert torch.equal(ranks[rank][index][1], labels[rank::world])


@pytest.mark.parametrize("world", [2, 3, 4])
def test_evaluation_counts_every_sample_once_over_all_ranks(ten_images: ArrayImages, world: int) -> None:
    loaders = [Loader(ten_images, 9, shuffle=False, rank=rank, world=world) for rank in range(world)]
    seen = [number for loader in loaders for batch in loader for number in numbers(batch)]
    assert sorted(seen) == list(range(10))


def test_the_global_generator_is_neither_read_nor_changed() -> None:
    states = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        states.append(list(Loader(noise(12), 5, shuffle=True, augment=every_augmentation())))
        assert torch.equal(torch.get_rng_state(), before)
    assert same(*states)


@pytest.fixture
def files(class_folders: Path) -> FileImages:
    opened = DATASETS["folder"](str(class_folders), memory_gib=0).open("train")
    assert isinstance(opened, FileImages)
    return opened


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_files_give_the_same_batches_with_any_number_of_workers(
    class_folders: Path, files: FileImages, workers: int
) -> None:
    crop = AUGMENTATIONS["random_crop"](padding=2)
    in_memory = DATASETS["folder"](str(class_folders)).open("train")
    streamed = Loader(files, 4, shuffle=True, augment=[crop], workers=workers)
    for epoch in range(2):
        streamed.set_epoch(epoch)
        whole = Loader(in_memory, 4, shuffle=True, augment=[crop])
        whole.set_epoch(epoch)
        assert same(list(streamed), list(whole))


def test_batches_are_planned_when_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    planned, share_of = [], loading.share_of
    monkeypatch.setattr(loading, "share_of", lambda *given: planned.append(given) or share_of(*given))
    batches = iter(Loader(noise(20), 2, shuffle=True))
    next(batches)
    assert len(planned) == 1
    assert len(list(batches)) == 9


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_batches_on_a_gpu_are_those_on_the_cpu_and_nothing_waits_for_them() -> None:
    images, names = noise(40), ("random_crop", "horizontal_flip", "normalize")
    augment = [AUGMENTATIONS[name].example() for name in names]
    on_cpu, on_gpu = (Loader(images, 8, shuffle=True, augment=augment, device=device) for device in ("cpu", "cuda"))
    list(on_gpu)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = list(on_gpu)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for (pixels, labels), (expected, numbers) in zip(batches, on_cpu, strict=True):
        assert torch.equal(labels.cpu(), numbers)
        torch.testing.assert_close(pixels.cpu(), expected)


def test_an_epoch_can_be_left_and_started_again_while_workers_run(files: FileImages) -> None:
    loader = Loader(files, 1, shuffle=True, workers=1)
    next(iter(loader))
    assert same(list(loader), list(Loader(files, 1, shuffle=True)))


def test_streaming_does_not_touch_the_global_generator(files: FileImages) -> None:
    before = torch.get_rng_state()
    list(Loader(files, 4, shuffle=True))
    assert torch.equal(torch.get_rng_state(), before)


def error_of(loader: Loader) -> str:
    """The text of the error of an epoch; the error itself, which holds on to the workers, is let go."""
    try:
        list(loader)
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_damaged_while_training_is_named(class_folders: Path, files: FileImages, workers: int) -> None:
    damaged = class_folders / "train" / "dog" / "train-dog-1.png"
    damaged.write_bytes(b"")
    assert error_of(Loader(files, 2, shuffle=False, workers=workers)) == (
        f"error: {damaged} is empty (0 bytes)\n      = hint: mend or remove it, or skip such files with on_error: skip"
    )


def test_a_batch_larger_than_the_set_is_refused_where_only_full_batches_count(ten_images: ArrayImages) -> None:
    with pytest.raises(RecipeError) as caught:
        Loader(ten_images, 11, shuffle=True, drop_last=True)
    assert str(caught.value) == (
        "error: a batch of 11 is larger than the data set of 10 images and is never full\n"
        "      = hint: use a batch of 10 or less"
    )


def test_a_last_training_batch_with_less_samples_than_processes_is_refused(ten_images: ArrayImages) -> None:
    with pytest.raises(RecipeError) as caught:
        Loader(ten_images, 9, shuffle=True, world=2)
    assert str(caught.value) == (
        "error: the last batch of an epoch has 1 of 10 images for 2 processes\n"
        "      = hint: leave it out with drop_last, or use another batch"
    )


def test_a_batch_that_does_not_fit_into_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU a value takes one byte as it is decoded and four as the network gets it."""
    monkeypatch.setattr(memory, "free_memory", lambda: 2**30)
    paths = [Path(f"{number}.png") for number in range(300)]
    images = FileImages(paths, torch.zeros(300, dtype=torch.int64), ("a", "b"), (1000, 1000), "squash")
    with pytest.raises(DataError) as caught:
        Loader(images, 256, shuffle=False)
    assert str(caught.value) == (
        "error: the pixels of 256 images of 1000x1000, a batch, need 3.6 GiB of memory, and 1.0 GiB are free\n"
        "      = hint: a smaller batch, or smaller images"
    )
    assert len(Loader(images, 256, shuffle=False, world=4)) == 2

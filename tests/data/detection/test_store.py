from __future__ import annotations

import os
import pickle
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.context import set_spawning_popen
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from threading import Barrier
from time import sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from spdbuild.data.detection import store
from spdbuild.data.detection.check import without_bad_images
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.findings import Finding
from spdbuild.data.detection.pixels import load
from spdbuild.data.detection.store import cache_key, open_store
from spdbuild.data.detection.table import DetectionSet
from spdbuild.data.files.pixel_file import checksum
from spdbuild.data.sets.tiny_objects import TinyObjects
from spdbuild.errors import DataError
from spdbuild.system import locks


@pytest.fixture
def dataset(document: Any, write_coco: Callable[..., tuple[Path, Path]]) -> DetectionSet:
    return read_coco(*write_coco(document))


@pytest.mark.parametrize("cache", ["none", "auto", "ram", "disk"])
def test_every_cache_gives_the_same_pixels(dataset: DetectionSet, tmp_path: Path, cache: Any) -> None:
    images = open_store(dataset, 96, cache, tmp_path / "cache")
    for index, shape in enumerate(((72, 96, 3), (72, 96, 3))):
        assert np.asarray(images[index]).shape == shape
        assert (np.asarray(images[index]) == np.asarray(load(dataset, index, 96))).all()


def test_a_cache_on_the_disk_is_written_once(dataset: DetectionSet, tmp_path: Path) -> None:
    open_store(dataset, 64, "disk", tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    before = file.stat().st_mtime_ns
    open_store(dataset, 64, "disk", tmp_path / "cache")
    assert [entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()] == [before]


def test_parts_of_a_set_share_a_cache_on_the_disk(dataset: DetectionSet, tmp_path: Path) -> None:
    first, second = dataset.part([0]), dataset.part([1])
    opened = open_store(first, 64, "disk", tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    before = file.stat().st_mtime_ns
    again = open_store(second, 64, "disk", tmp_path / "cache")
    both = open_store(dataset, 64, "disk", tmp_path / "cache")
    assert [entry.stat().st_mtime_ns for entry in (tmp_path / "cache").iterdir()] == [before]
    for one, index, place in ((opened, 0, 0), (again, 0, 1), (both, 0, 0), (both, 1, 1)):
        for images in (one, pickle.loads(pickle.dumps(one))):
            assert (np.asarray(images[index]) == np.asarray(load(dataset, place, 64))).all()
    assert first.subset([0]).part_of is first.part_of


def test_parts_from_which_bad_images_are_left_out_have_a_cache_of_their_own(
    dataset: DetectionSet, tmp_path: Path
) -> None:
    path = dataset.images[1].path
    assert path is not None
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=path.name):
        open_store(dataset.part([0]), 64, "disk", tmp_path / "cache")
    kept = without_bad_images(dataset.part([0]))
    assert np.asarray(open_store(kept, 64, "disk", tmp_path / "cache")[0]).shape == (48, 64, 3)


@pytest.mark.parametrize("content", [b"", b"no array", None], ids=["empty", "no array", "cut off"])
def test_a_damaged_cache_is_made_anew(
    dataset: DetectionSet, tmp_path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    expected = np.array(open_store(dataset, 64, "disk", tmp_path / "cache")[1])
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] if content is None else content)
    assert (np.asarray(open_store(dataset, 64, "disk", tmp_path / "cache")[1]) == expected).all()
    assert file.read_bytes() == whole
    assert f"the cached images in {file} are damaged; decoding again" in caplog.text


@pytest.mark.parametrize("place", [0.1, 0.9, 1.0], ids=["first image", "second image", "checksums"])
def test_damaged_pixels_of_a_cache_are_not_used(
    dataset: DetectionSet, tmp_path: Path, place: float, caplog: pytest.LogCaptureFixture
) -> None:
    open_store(dataset, 64, "disk", tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    cleared = int(place * (len(whole) - 512))
    file.write_bytes(whole[:cleared] + bytes(512) + whole[cleared + 512 :])
    images = open_store(dataset, 64, "disk", tmp_path / "cache")
    assert not caplog.text
    # Another process reads them, too.
    for opened in (images, pickle.loads(pickle.dumps(images)), images):
        for index in (0, 1):
            assert (np.asarray(opened[index]) == np.asarray(load(dataset, index, 64))).all()
    assert caplog.messages == [
        f"the cached images in {file} are damaged; they are decoded again, and the next run writes the file anew"
    ]
    open_store(dataset, 64, "disk", tmp_path / "cache")
    assert file.read_bytes() == whole


def test_sound_pixels_of_a_cache_are_looked_through_once(
    dataset: DetectionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_store(dataset, 64, "disk", tmp_path / "cache")
    summed: list[int] = []
    monkeypatch.setattr(store, "checksum", lambda pixels: summed.append(1) or checksum(pixels))
    for index in (0, 1, 1, 0):
        assert (np.asarray(images[index]) == np.asarray(load(dataset, index, 64))).all()
    assert len(summed) == 2


def test_a_disk_that_fills_up_while_a_cache_is_written_is_told(
    dataset: DetectionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a full disk does, a limit on a file's size ends a process that writes into a mapped file.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(DataError, match=r"images-.*\.npy cannot be written: File too large"):
            open_store(dataset, 64, "disk", tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_a_killed_program_left_in_the_cache_is_removed(dataset: DetectionSet, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    left, others = ".images-abc-def.npy.12345678.npy", [".notes.txt.12345678.txt", ".a-cache.12345678"]
    for name in (left, *others):
        (folder / name).touch()
    open_store(dataset, 64, "disk", folder)
    assert not (folder / left).exists()
    assert all((folder / name).exists() for name in others)
    (file,) = folder.glob("images-*.npy")
    # Also where the cache itself is sound.
    (folder / left).touch()
    open_store(dataset, 64, "disk", folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*others, file.name])


def test_without_locks_nothing_of_others_is_removed(
    dataset: DetectionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "fcntl", None)
    (tmp_path / ".images-abc-def.npy.12345678.npy").touch()
    open_store(dataset, 64, "disk", tmp_path)
    assert (tmp_path / ".images-abc-def.npy.12345678.npy").exists()


def test_a_cache_folder_that_is_a_file_is_named(dataset: DetectionSet, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(DataError, match="cache cannot be written") as caught:
        open_store(dataset, 64, "disk", tmp_path / "cache")
    assert caught.value.problems[0].hint == "name another folder with SPDBUILD_CACHE, or use cache: none"


def test_of_several_that_need_a_cache_at_once_one_fills_it(
    dataset: DetectionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both, decoded = Barrier(2), []

    def slow(dataset: DetectionSet, index: int, size: int) -> Any:
        # The other one comes to the cache while it is being filled.
        decoded.append(index)
        sleep(0.2)
        return load(dataset, index, size)

    def opened(_: int) -> Any:
        both.wait()
        return np.asarray(open_store(dataset, 64, "disk", tmp_path / "cache")[1])

    monkeypatch.setattr(store, "load", slow)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(opened, range(2))
    assert sorted(decoded) == list(range(len(dataset)))
    assert (one == other).all()


def test_a_cache_on_the_disk_replaces_that_of_the_images_before_they_changed(
    dataset: DetectionSet, tmp_path: Path
) -> None:
    def keep(images: DetectionSet, size: int) -> set[str]:
        open_store(images, size, "disk", tmp_path / "cache")
        return {entry.name for entry in (tmp_path / "cache").iterdir()}

    (one,) = keep(dataset, 64)
    # Another size, and another split, whose first image is another one, have files of their own.
    others = keep(dataset, 96) | keep(dataset.subset([1, 0]), 64)
    assert len(others) == 3
    path = dataset.images[1].path
    assert path is not None
    os.utime(path, ns=(1, 1))
    now = keep(dataset, 64)
    assert len(now) == 3
    assert others - now == {one}


def test_whatever_changes_the_pixels_changes_the_key(dataset: DetectionSet) -> None:
    keys = {cache_key(dataset, 64), cache_key(dataset, 96), cache_key(dataset.subset([1, 0]), 64)}
    assert cache_key(dataset.subset([]), 64) not in keys
    path = dataset.images[0].path
    assert path is not None
    os.utime(path, ns=(1, 1))
    keys.add(cache_key(dataset, 64))
    assert len(keys) == 4
    assert cache_key(dataset, 64) in keys


def test_an_image_that_cannot_be_read_leaves_no_file(dataset: DetectionSet, tmp_path: Path) -> None:
    path = dataset.images[1].path
    assert path is not None
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"b\.png: is empty"):
        open_store(dataset, 64, "disk", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_behind_an_image_that_cannot_be_read_few_are_decoded(
    dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def counted(dataset: DetectionSet, index: int, size: int) -> Any:
        asked.append(index)
        if index == 0:
            return Finding("corrupt image", "a.png", "is empty")
        sleep(0.01)
        return load(dataset, index, size)

    monkeypatch.setattr(store, "load", counted)
    many = dataset.subset([0, 1] * 250)
    with pytest.raises(DataError, match="is empty"):
        open_store(many, 64, "ram")
    assert len(asked) < 250


def test_too_little_memory_is_said_before_it_is_taken(dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "free_shared_memory", lambda: 1000)
    with pytest.raises(DataError, match="(?s)GB of shared memory, .* GB are free.*use cache: auto, disk or none"):
        open_store(dataset, 64, "ram")


def test_an_image_that_is_kept_is_decoded_once(dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(dataset: DetectionSet, index: int, size: int) -> Any:
        asked.append(index)
        return load(dataset, index, size)

    monkeypatch.setattr(store, "load", counted)
    images = open_store(dataset, 96, "auto")
    first, again = np.array(images[1]), np.array(images[1])
    assert (first == again).all()
    assert asked == [1]


def test_images_beyond_the_memory_are_decoded_each_time(dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch) -> None:
    one_image = 3 * 72 * 96
    monkeypatch.setattr(store, "free_shared_memory", lambda: one_image / 0.3 + 1)
    images = open_store(dataset, 96, "auto")
    for index in (0, 1, 1, 0):
        assert (np.asarray(images[index]) == np.asarray(load(dataset, index, 96))).all()
    for image in dataset.images:
        assert image.path is not None
        image.path.unlink()
    assert not isinstance(images[0], Finding)
    assert isinstance(images[1], Finding)


def test_processes_of_one_machine_share_its_memory(dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "free_shared_memory", lambda: 3 * 72 * 96 * 2 / 0.3 + 1)
    alone, one_of_two = open_store(dataset, 96, "auto"), open_store(dataset, 96, "auto", processes=2)
    for images in (alone, one_of_two):
        assert [isinstance(images[index], Finding) for index in (0, 1)] == [False, False]
    for image in dataset.images:
        assert image.path is not None
        image.path.unlink()
    assert not isinstance(alone[1], Finding)
    assert isinstance(one_of_two[1], Finding)


def test_what_a_forked_process_decoded_is_there_for_the_others(dataset: DetectionSet) -> None:
    images = open_store(dataset, 96, "auto")
    wanted = np.array(load(dataset, 0, 96))
    process = get_context("fork").Process(target=lambda: images[0])
    process.start()
    process.join()
    path = dataset.images[0].path
    assert path is not None
    path.unlink()
    assert (np.asarray(images[0]) == wanted).all()


def test_a_damaged_image_is_told_each_time_and_read_once_it_is_mended(dataset: DetectionSet) -> None:
    path = dataset.images[0].path
    assert path is not None
    sound = path.read_bytes()
    images = open_store(dataset, 96, "auto")
    path.write_bytes(b"")
    assert isinstance(images[0], Finding)
    assert isinstance(images[0], Finding)
    path.write_bytes(sound)
    assert not isinstance(images[0], Finding)


@pytest.mark.parametrize("cache", ["none", "auto", "ram", "disk"])
def test_no_pixels_are_sent_to_a_process_that_is_not_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Any
) -> None:
    monkeypatch.setattr(store, "Lock", get_context("spawn").Lock)
    few, many = (
        open_store(TinyObjects(images=count, size=64, largest=12).open("train"), 64, cache, tmp_path)
        for count in (10, 40)
    )
    np.asarray(many[0])
    sent = [len(pickled(images)) for images in (few, many)]
    # 30 more names, sizes and boxes; the pixels of one image alone would be more.
    assert sent[1] - sent[0] < 30 * 400 < 64 * 64 * 3


def pickled(value: Any) -> bytes:
    """What a process that is spawned gets of a value: locks and shared memory by their names."""
    set_spawning_popen(SimpleNamespace(duplicate_for_child=lambda number: number, DupFd=lambda number: number))
    try:
        return bytes(ForkingPickler.dumps(value))
    finally:
        set_spawning_popen(None)


def test_a_mapped_file_is_mapped_by_each_process(dataset: DetectionSet, tmp_path: Path) -> None:
    images = open_store(dataset, 64, "disk", tmp_path)
    again = pickle.loads(pickle.dumps(images))
    assert isinstance(again[1], np.memmap)
    assert (np.asarray(again[1]) == np.asarray(images[1])).all()


def test_a_mapped_file_that_is_gone_is_decoded_by_other_processes(dataset: DetectionSet, tmp_path: Path) -> None:
    images = open_store(dataset, 64, "disk", tmp_path)
    (file,) = tmp_path.glob("images-*.npy")
    file.unlink()
    again = pickle.loads(pickle.dumps(images))
    assert (np.asarray(again[1]) == np.asarray(images[1])).all()


def test_a_mapped_file_that_a_system_does_not_remove_stays(
    dataset: DetectionSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_windows(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".npy" and not path.name.startswith("."):
            raise PermissionError(13, "The process cannot access the file")
        unlink(path, missing_ok=missing_ok)

    unlink = Path.unlink
    open_store(dataset, 64, "disk", tmp_path)
    monkeypatch.setattr(Path, "unlink", of_windows)
    path = dataset.images[1].path
    assert path is not None
    os.utime(path, ns=(1, 1))
    images = open_store(dataset, 64, "disk", tmp_path)
    assert (np.asarray(images[1]) == np.asarray(load(dataset, 1, 64))).all()
    assert len(list(tmp_path.glob("images-*.npy"))) == 2

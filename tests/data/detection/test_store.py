from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from time import sleep
from typing import Any

import numpy as np
import pytest

from spdbuild.data.detection import store
from spdbuild.data.detection.coco_json import read_coco
from spdbuild.data.detection.pixels import load
from spdbuild.data.detection.store import cache_key, open_store
from spdbuild.data.detection.table import DetectionSet
from spdbuild.errors import DataError


@pytest.fixture
def dataset(document: Any, write_coco: Callable[..., tuple[Path, Path]]) -> DetectionSet:
    return read_coco(*write_coco(document))


@pytest.mark.parametrize("cache", ["none", "ram", "disk"])
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


def test_whatever_changes_the_pixels_changes_the_key(dataset: DetectionSet) -> None:
    keys = {cache_key(dataset, 64), cache_key(dataset, 96), cache_key(dataset.subset([1, 0]), 64)}
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


def test_too_little_memory_is_said_before_it_is_taken(dataset: DetectionSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "free_memory", lambda: 1000)
    with pytest.raises(DataError, match="(?s)GB of memory, .* GB are free.*use cache: disk or none"):
        open_store(dataset, 64, "ram")

"""The cache of decoded images: decoded once, anew where something changed, and never in the way."""

from __future__ import annotations

import dataclasses
import errno
import os
import pwd
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from spdbuild.data import ArrayImages
from spdbuild.data.files import cache, reading
from spdbuild.data.files.decoding import decode
from spdbuild.data.sets.folder import Folder
from spdbuild.system.locks import FolderLock


@pytest.mark.usefixtures("always_cached")
def test_a_link_that_leads_somewhere_again_is_decoded_again(class_folders: Path, write_image) -> None:
    (class_folders / "train" / "cat" / "link.png").symlink_to(class_folders / "later.png")
    data = Folder(str(class_folders), on_error="skip")
    assert len(data.open("train")) == 6
    write_image(class_folders / "later.png")
    assert len(data.open("train")) == 7


@pytest.mark.usefixtures("always_cached")
def test_what_was_decoded_is_not_decoded_again(damaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Folder(str(damaged), on_error="skip").open("train")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(reading, "decode_all", fail)
    again = Folder(str(damaged), on_error="skip").open("train")
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert first.skipped == again.skipped


@pytest.mark.usefixtures("always_cached")
@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes((file.parent / "train-cat-1.png").read_bytes()),
        lambda file: file.rename(file.with_name("train-cat-9.png")),
        lambda file: os.utime(file, ns=(0, 0)),
    ],
    ids=["content", "name", "time"],
)
def test_a_changed_file_is_decoded_again(class_folders: Path, change) -> None:
    data = Folder(str(class_folders))
    before = cache.cache_key(data.listing("train"), (8, 8), None, None, keep=True)
    data.open("train")
    change(class_folders / "train" / "cat" / "train-cat-0.png")
    assert cache.cache_key(data.listing("train"), (8, 8), None, None, keep=True) != before
    fresh = [decode(path, None, None) for path in data.listing("train").paths]
    np.testing.assert_array_equal(data.open("train").images.numpy(), np.stack(fresh))


@pytest.mark.usefixtures("always_cached")
def test_there_is_one_copy_of_each_split_and_way_of_reading(class_folders: Path) -> None:
    def kept(**fields: Any) -> set[str]:
        for split in ("train", "test"):
            Folder(str(class_folders), **fields).open(split)
        return {entry.name for entry in cache.cache_folder().iterdir()}

    before = kept()
    assert len(before) == 2
    assert len(kept(size=4)) == len(kept(size=(4, 4))) == 4
    assert len(kept(size=(4, 6))) == 6
    assert len(kept(size=(6, 4))) == 8
    os.utime(class_folders / "train" / "cat" / "train-cat-1.png", ns=(0, 0))
    after = kept()
    assert len(after) == 8
    assert len(before - after) == 1


def _set(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda entry: (entry / name).write_bytes(content)


def _change(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda entry: (entry / name).write_bytes(change((entry / name).read_bytes()))


_IMAGES, _CONTENTS = "images.npy", "contents.json"


@pytest.mark.usefixtures("always_cached")
@pytest.mark.parametrize(
    "damage",
    [
        _set(_IMAGES, b""),
        _change(_IMAGES, lambda file: file[:200]),
        _change(_IMAGES, lambda file: file[:128] + bytes(len(file) - 128)),
        _change(_IMAGES, lambda file: file[:300] + bytes([file[300] ^ 1]) + file[301:]),
        _change(_IMAGES, lambda file: file + b"more"),
        _change(_IMAGES, lambda file: file.replace(b"(5, 3, 8, 8)", b"(5, 3, 4,16)")),
        _change(_IMAGES, lambda file: file.replace(b"(5, 3, 8, 8)", b"(5, 3, 8, 8(")),
        lambda entry: np.save(entry / _IMAGES, np.zeros((4, 3, 8, 8), np.uint8)),
        lambda entry: np.save(entry / _IMAGES, np.zeros((5, 3, 8, 8), np.int8)),
        lambda entry: (entry / _IMAGES).unlink(),
        lambda entry: ((entry / _IMAGES).unlink(), (entry / _IMAGES).mkdir()),
        _set(_CONTENTS, b""),
        _set(_CONTENTS, b"null"),
        _set(_CONTENTS, b"[]"),
        _set(_CONTENTS, b"\xff\xfe"),
        _set(_CONTENTS, b"[" * 100_000),
        _change(_CONTENTS, lambda text: text.replace(b"[[1,", b"[[2,")),
        _change(_CONTENTS, lambda text: text.replace(b"[[1,", b"[[-1,")),
        _change(_CONTENTS, lambda text: text.replace(b"empty", b"black")),
        lambda entry: (entry / _CONTENTS).unlink(),
    ],
    ids=[
        "empty images",
        "images cut off",
        "black images",
        "a changed pixel",
        "longer images",
        "another shape",
        "no header",
        "fewer images",
        "another type",
        "no images",
        "a folder of images",
        "empty contents",
        "null",
        "a list",
        "no UTF-8",
        "deep contents",
        "another bad file",
        "a bad file before the first",
        "another reason",
        "no contents",
    ],
)
def test_a_damaged_cache_is_told_and_written_anew(
    damaged: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object]
) -> None:
    data = Folder(str(damaged), on_error="skip")
    first = data.open("train")
    wanted = first.images.clone()
    (entry,) = cache.cache_folder().iterdir()
    whole = {file.name: file.read_bytes() for file in entry.iterdir()}
    damage(entry)
    again = data.open("train")
    assert torch.equal(again.images, wanted)
    assert again.skipped == first.skipped
    (told,) = caplog.messages
    assert told.startswith(f"the cached images in {entry} cannot be used: ")
    assert told.endswith("; decoding again")
    assert {file.name: file.read_bytes() for file in entry.iterdir()} == whole


@pytest.mark.usefixtures("always_cached")
def test_a_cache_that_does_not_fit_among_the_addresses_of_a_process_stays(
    class_folders: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    wanted = Folder(str(class_folders)).open("train").images.clone()
    (entry,) = cache.cache_folder().iterdir()
    monkeypatch.setattr(np, "memmap", refused)
    monkeypatch.setattr(cache, "save", lambda *_: None)
    assert torch.equal(Folder(str(class_folders)).open("train").images, wanted)
    assert entry.is_dir()
    assert not caplog.text


@pytest.mark.usefixtures("always_cached")
@pytest.mark.parametrize("together", [None, r"\d(?=\.)"])
def test_the_folds_of_a_folder_are_decoded_once(
    class_folders_of: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, together: str | None
) -> None:
    root = class_folders_of(cat=12, dog=12)
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(file)
    times: list[int] = []
    decode_now = reading._decode_now
    monkeypatch.setattr(reading, "_decode_now", lambda *given: (times.append(1), decode_now(*given))[1])
    seen = dict[Path, int]()
    for fold in range(3):
        data = Folder(str(root), train=".", folds=3, fold=fold, together=together)
        for split in ("train", "val"):
            images = data.open(split)
            assert isinstance(images, ArrayImages)
            reds = dict(zip(images.paths, images.images[:, 0, 0, 0].tolist(), strict=True))
            assert {**reds, **seen} == {**seen, **reds}
            seen |= reds
    assert sorted(seen.values()) == list(range(24))
    assert len(times) == 1
    assert len(list(cache.cache_folder().iterdir())) == 1


@pytest.mark.usefixtures("always_cached")
def test_bad_files_of_another_fold_do_not_count(class_folders_of: Callable[..., Path]) -> None:
    root = class_folders_of(cat=6, dog=6)
    data = Folder(str(root), train=".", folds=2, on_error="skip")
    bad = data.listing("val").paths[0]
    bad.write_bytes(b"no image")
    for memory_gib in (1.0, 0.0):
        train, val = (dataclasses.replace(data, memory_gib=memory_gib).open(split) for split in ("train", "val"))
        assert (len(train), len(train.skipped), len(val), len(val.skipped)) == (6, 0, 5, 1)
        assert bad not in [*train.paths, *val.paths]


@pytest.mark.usefixtures("always_cached")
def test_what_killed_programs_left_in_the_cache_is_removed(class_folders: Path) -> None:
    root, key = cache.cache_folder(), f"train-{'0' * 12}-{'1' * 24}"
    left, written = root / f".{key}.abcd1234", root / f".{key}.abcd5678"
    others = [root / ".other.abcd1234", root / ".images-1-2.npy.abcd1234.npy"]
    for folder in (left, written, *others):
        (folder / "new").mkdir(parents=True)
    with FolderLock(written) as lock:
        assert lock.get()
        Folder(str(class_folders)).open("train")
    assert not left.exists()
    assert all(folder.exists() for folder in (written, *others))


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SPDBUILD_CACHE": "/own"}, "/own"),
        ({"SPDBUILD_CACHE": "", "XDG_CACHE_HOME": "/caches"}, "/caches/spdbuild"),
        ({"XDG_CACHE_HOME": ""}, "/home/me/.cache/spdbuild"),
        ({}, "/home/me/.cache/spdbuild"),
    ],
)
def test_the_cache_is_where_the_user_says(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("SPDBUILD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(cache.cache_folder()) == expected


def test_a_user_without_a_home_has_a_temporary_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(_: int) -> None:
        raise KeyError("getpwuid(): uid not found: 54321")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.delenv("SPDBUILD_CACHE")
    assert cache.cache_folder() == Path("/caches/spdbuild")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder() == tmp_path / "spdbuild-54321"


@pytest.mark.usefixtures("always_cached")
def test_no_room_for_a_cache_is_no_error(class_folders: Path, monkeypatch, caplog) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert len(Folder(str(class_folders)).open("train")) == 6
    assert "No space left on device" in caplog.text
    assert not list(cache.cache_folder().iterdir())

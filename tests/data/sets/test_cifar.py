"""CIFAR's archives, with small ones in place of the real."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from torchvision import datasets

from spdbuild.data.sets.cifar import Cifar10, Cifar100
from spdbuild.errors import DataError


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_batch(path: Path, content: dict[str, object]) -> list[str]:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return [path.name, md5(path)]


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an archive of six images, whose MD5s torchvision takes for the published ones."""
    folder = tmp_path / "cifar-10-batches-py"
    pixels = np.arange(6 * 3072, dtype=np.uint32).reshape(6, 3072).astype(np.uint8)
    train = write_batch(folder / "data_batch_1", {"data": pixels[:4], "labels": [3, 1, 0, 9]})
    test = write_batch(folder / "test_batch", {"data": pixels[4:], "labels": [2, 5]})
    meta = write_batch(folder / "batches.meta", {"label_names": [f"kind{number}" for number in range(10)]})
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [train])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [test])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]})
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(tmp_path / "cifar-10-python.tar.gz"))
    return tmp_path


def error_of(root: Path, tmp_path: Path, **fields: bool) -> str:
    with pytest.raises(DataError) as caught:
        Cifar10(str(root), **fields).open("train")
    return str(caught.value).replace(str(tmp_path), "data")


def test_a_row_is_red_then_green_then_blue(cifar10: Path) -> None:
    train, test = Cifar10(str(cifar10)).open("train"), Cifar10(str(cifar10)).open("test")
    assert train.labels.tolist() == [3, 1, 0, 9]
    assert test.labels.tolist() == [2, 5]
    assert train.size == (32, 32)
    assert train.classes[3] == "kind3"
    row = np.arange(3072, dtype=np.uint32).astype(np.uint8).reshape(3, 32, 32)
    np.testing.assert_array_equal(train.images[0].numpy(), row)


def test_an_archive_is_unpacked(cifar10: Path) -> None:
    (cifar10 / "cifar-10-batches-py").rename(cifar10 / "elsewhere")
    assert len(Cifar10(str(cifar10)).open("train")) == 4


def test_a_changed_file_is_not_unpickled(cifar10: Path) -> None:
    (cifar10 / "cifar-10-python.tar.gz").unlink()
    (cifar10 / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps({"data": None}))
    assert error_of(cifar10, cifar10) == (
        "error: the files in data/cifar-10-batches-py are incomplete or damaged: their MD5 is not the published one\n"
        "      = hint: remove data/cifar-10-batches-py and unpack cifar-10-python.tar.gz again"
    )


def test_half_an_archive(cifar10: Path) -> None:
    (cifar10 / "cifar-10-batches-py").rename(cifar10 / "elsewhere")
    archive = cifar10 / "cifar-10-python.tar.gz"
    archive.write_bytes(archive.read_bytes()[:100])
    assert error_of(cifar10, cifar10) == (
        "error: data/cifar-10-python.tar.gz is incomplete or damaged: "
        f"its MD5 is not {datasets.CIFAR10.tgz_md5}\n"
        "      = hint: remove it and download https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz again"
    )


@pytest.mark.parametrize(
    ("below", "hint"),
    [
        ("", "download: true fetches it (where there is a network)"),
        ("train/cat/", "these are class folders: read them with name: folder"),
        (
            "cifar-10-batches-bin/",
            "only the Python version of the archive is read: https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        ),
    ],
    ids=["nothing", "class folders", "another version"],
)
def test_another_folder(tmp_path: Path, below: str, hint: str) -> None:
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    assert error_of(tmp_path, tmp_path) == (
        f"error: data holds neither cifar-10-batches-py/ nor cifar-10-python.tar.gz\n      = hint: {hint}"
    )


def test_the_unpacked_folder_itself(cifar10: Path) -> None:
    assert error_of(cifar10 / "cifar-10-batches-py", cifar10) == (
        "error: data/cifar-10-batches-py holds neither cifar-10-batches-py/ nor cifar-10-python.tar.gz\n"
        "      = hint: give the folder above it: root: data"
    )


def test_cifar100_names_its_own_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        Cifar100(str(tmp_path)).open("train")
    assert str(caught.value).splitlines()[0] == (
        f"error: {tmp_path} holds neither cifar-100-python/ nor cifar-100-python.tar.gz"
    )


@pytest.mark.parametrize(("ours", "theirs"), [(Cifar10, datasets.CIFAR10), (Cifar100, datasets.CIFAR100)])
def test_the_names_are_those_of_torchvision(ours: type[Cifar10 | Cifar100], theirs: type[datasets.CIFAR10]) -> None:
    assert (ours.folder, ours.archive) == (theirs.base_folder, theirs.filename)


def test_a_folder_is_recognized_by_its_archive_or_what_came_out_of_it(tmp_path: Path) -> None:
    assert Cifar100.fields_in(tmp_path) is None
    (tmp_path / "cifar-10-batches-py").mkdir()
    assert Cifar100.fields_in(tmp_path) is None
    assert Cifar10.fields_in(tmp_path) == {"root": str(tmp_path)}
    (tmp_path / "cifar-100-python.tar.gz").touch()
    assert Cifar100.fields_in(tmp_path) == {"root": str(tmp_path)}

"""Archives in CIFAR's official layout, as Python 2 wrote them: read, unpacked, fetched, and refused."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import struct
import tarfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torchvision import datasets

from spdbuild.data.sets.cifar import Cifar10, Cifar100
from spdbuild.errors import DataError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
FOLDER = "cifar-10-batches-py"


def python2(value: Any) -> bytes:
    """The opcodes of a value in Python 2, whose texts are bytes and whose numpy had its arrays in `numpy.core`."""
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin1")
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(python2, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(key) + python2(entry) for key, entry in value.items()) + b"u"
    array: NDArray[np.uint8] = value
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00t" + python2("b") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + python2("u1") + b"K\x00K\x01tR(K\x03" + python2("|") + b"NNN" + 2 * python2(-1)
    shape = b"(" + b"".join(python2(side) for side in array.shape) + b"t"
    pixels = b"T" + struct.pack("<I", array.size) + array.tobytes()
    return empty + b"(K\x01" + shape + dtype + b"K\x00tbI00\n" + pixels + b"tb"


def pickled(content: dict[str, Any]) -> bytes:
    return b"\x80\x02" + python2(content) + b"."


def batch(number: int, images: int = 2) -> dict[str, Any]:
    """A batch whose pixels and labels say where they are from."""
    pixels = np.random.default_rng(number).integers(0, 256, (images, 3072), dtype=np.uint8)
    labels = [(images * number + index) % 10 for index in range(images)]
    names = [f"{NAMES[label]}_s_{number:06}.png" for label in labels]
    return {"batch_label": f"batch {number}", "labels": labels, "data": pixels, "filenames": names}


def files() -> dict[str, bytes]:
    """The members of CIFAR-10's archive, with two images in each of its batches."""
    found = {f"data_batch_{number}": pickled(batch(number)) for number in range(1, 6)}
    found["test_batch"] = pickled(batch(9))
    found["batches.meta"] = pickled({"num_cases_per_batch": 2, "label_names": NAMES, "num_vis": 3072})
    return found | {"readme.html": b"<html>"}


def packed(members: dict[str, bytes], folder: str = FOLDER) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def publish(monkeypatch: pytest.MonkeyPatch, reader: Any, members: dict[str, bytes], archive: bytes) -> None:
    """Let these files be the published ones, by their MD5s."""

    def sums(names: list[str]) -> list[list[str]]:
        return [[name, hashlib.md5(members[name]).hexdigest()] for name in names]

    for attribute in ("train_list", "test_list"):
        monkeypatch.setattr(reader, attribute, sums([name for name, _ in getattr(reader, attribute)]))
    ((_, meta),) = sums([reader.meta["filename"]])
    monkeypatch.setattr(reader, "meta", {**reader.meta, "md5": meta})
    monkeypatch.setattr(reader, "tgz_md5", hashlib.md5(archive).hexdigest())


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The archive in an otherwise empty folder."""
    content = packed(files())
    publish(monkeypatch, datasets.CIFAR10, files(), content)
    path = tmp_path / "data" / "cifar-10-python.tar.gz"
    path.parent.mkdir()
    path.write_bytes(content)
    return path


def message(root: Path, **fields: Any) -> str:
    with pytest.raises(DataError) as caught:
        Cifar10(str(root), **fields).open("train")
    return str(caught.value).replace(str(root), "data")


def test_the_batches_of_the_official_archive_are_read_in_their_order(archive: Path) -> None:
    train, test = Cifar10(str(archive.parent)).open("train"), Cifar10(str(archive.parent)).open("test")
    batches = [batch(number) for number in range(1, 6)]
    expected = np.concatenate([entry["data"] for entry in batches]).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(train.images.numpy(), expected)
    assert train.labels.tolist() == [label for entry in batches for label in entry["labels"]]
    np.testing.assert_array_equal(test.images.numpy(), batch(9)["data"].reshape(-1, 3, 32, 32))
    assert train.classes == test.classes == tuple(NAMES)
    assert sorted(path.name for path in (archive.parent / FOLDER).iterdir()) == sorted(files())


def test_cifar100_has_the_fine_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = batch(1)["data"]
    parts = {
        name: pickled({"data": pixels, "fine_labels": labels, "coarse_labels": [0, 0]})
        for name, labels in (("train", [99, 3]), ("test", [0, 42]))
    }
    names = [f"kind {number}" for number in range(100)]
    parts["meta"] = pickled({"fine_label_names": names, "coarse_label_names": ["all"]})
    content = packed(parts, "cifar-100-python")
    publish(monkeypatch, datasets.CIFAR100, parts, content)
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(content)
    data = Cifar100(str(tmp_path))
    assert (data.open("train").labels.tolist(), data.open("test").labels.tolist()) == ([99, 3], [0, 42])
    assert data.open("test").classes[42] == "kind 42"


def test_what_is_unpacked_but_damaged_is_unpacked_again(archive: Path) -> None:
    whole = Cifar10(str(archive.parent)).open("train")
    (archive.parent / FOLDER / "data_batch_3").write_bytes(b"cut off")
    assert Cifar10(str(archive.parent)).open("train").labels.equal(whole.labels)
    assert not list(archive.parent.glob(".*"))


@pytest.mark.parametrize("kept", [0, 1000], ids=["empty", "cut off"])
def test_an_archive_that_is_not_whole(archive: Path, kept: int) -> None:
    archive.write_bytes(archive.read_bytes()[:kept])
    assert message(archive.parent) == (
        f"error: data/cifar-10-python.tar.gz is incomplete or damaged: its MD5 is not {datasets.CIFAR10.tgz_md5}\n"
        "      = hint: remove it and download https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz again"
    )
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def test_an_archive_without_one_of_its_files(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed({name: content for name, content in files().items() if name != "data_batch_4"})
    publish(monkeypatch, datasets.CIFAR10, files(), content)
    archive.write_bytes(content)
    assert message(archive.parent) == (
        "error: the files in data/cifar-10-batches-py are incomplete or damaged: their MD5 is not the published one\n"
        "      = hint: remove data/cifar-10-batches-py and unpack cifar-10-python.tar.gz again"
    )


def test_a_file_that_is_no_archive(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, datasets.CIFAR10, files(), b"<html>not found</html>")
    archive.write_bytes(b"<html>not found</html>")
    assert message(archive.parent).startswith("error: data/cifar-10-python.tar.gz cannot be unpacked: ")
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


@pytest.mark.parametrize("name", ["../../../outside", "{tmp}/outside"], ids=["up", "absolute"])
def test_a_member_that_leads_out_of_the_folder_is_not_written(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as written:
        member = tarfile.TarInfo(name.format(tmp=tmp_path))
        member.size = 4
        written.addfile(member, io.BytesIO(b"evil"))
    publish(monkeypatch, datasets.CIFAR10, files(), buffer.getvalue())
    archive.write_bytes(buffer.getvalue())
    with pytest.raises(DataError):
        Cifar10(str(archive.parent)).open("train")
    assert not list(tmp_path.glob("**/outside"))
    assert not (tmp_path.parent / "outside").exists()


def test_code_in_a_file_is_not_run(archive: Path, tmp_path: Path) -> None:
    """The MD5 is compared before anything is unpickled, in the unpacked files and in the archive."""
    called = tmp_path / "called"
    code = b"cos\nmkdir\n(" + python2(str(called)) + b"tR."
    Cifar10(str(archive.parent)).open("train")
    (archive.parent / FOLDER / "data_batch_1").write_bytes(code)
    archive.write_bytes(packed(files() | {"data_batch_1": code}))
    assert "their MD5 is not the published one" in message(archive.parent)
    (archive.parent / FOLDER).rename(tmp_path / "elsewhere")
    assert "cifar-10-python.tar.gz is incomplete or damaged" in message(archive.parent)
    assert not called.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(archive: Path) -> None:
    archive.parent.chmod(0o500)
    try:
        assert message(archive.parent) == "error: data/cifar-10-batches-py cannot be written: Permission denied"
    finally:
        archive.parent.chmod(0o700)


class Server(ThreadingHTTPServer):
    """Sends `content`, of which it may say that it is longer, or nothing but a status.

    requests: how often it was asked.
    """

    content, missing, status = b"", 0, 200
    requests = 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:  # noqa: N802 - the name is that of the method of HTTP
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content) + self.server.missing))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Where the archive is published; on the disk there is nothing."""
    with Server(("127.0.0.1", 0), Handler) as running:
        running.content = archive.read_bytes()
        archive.unlink()
        archive.parent.rmdir()
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{running.server_port}/cifar.tar.gz")
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_the_archive_is_fetched_once(server: Server, archive: Path) -> None:
    for split in ("train", "test"):
        Cifar10(str(archive.parent), download=True).open(split)  # type: ignore[arg-type]
    assert server.requests == 1
    assert archive.read_bytes() == server.content
    assert {path.name for path in archive.parent.iterdir()} == {archive.name, FOLDER}


def test_a_download_that_is_cut_off_leaves_nothing_and_can_be_tried_again(server: Server, archive: Path) -> None:
    whole, server.content = server.content, server.content[:1000]
    server.missing = len(whole) - 1000
    url, md5 = datasets.CIFAR10.url, datasets.CIFAR10.tgz_md5
    assert message(archive.parent, download=True) == (
        f"error: what {url} sent is cut off or not what was published: its MD5 is not {md5}\n"
        "      = hint: try again, or fetch it elsewhere and put it into data"
    )
    assert not list(archive.parent.iterdir())
    server.content, server.missing = whole, 0
    assert len(Cifar10(str(archive.parent), download=True).open("train")) == 10


def test_an_archive_that_is_not_whole_is_fetched_again(server: Server, archive: Path) -> None:
    archive.parent.mkdir()
    archive.write_bytes(server.content[:1000])
    assert len(Cifar10(str(archive.parent), download=True).open("train")) == 10
    assert archive.read_bytes() == server.content


def test_a_server_that_has_it_no_more(server: Server, archive: Path) -> None:
    server.status = 404
    assert message(archive.parent, download=True) == (
        f"error: {datasets.CIFAR10.url} cannot be downloaded: Not Found\n"
        "      = hint: fetch it elsewhere and put it into data"
    )


def test_no_network(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.unlink()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(datasets.CIFAR10, "url", f"http://127.0.0.1:{free.getsockname()[1]}/cifar.tar.gz")
        assert message(archive.parent, download=True) == (
            f"error: {datasets.CIFAR10.url} cannot be downloaded: [Errno 111] Connection refused\n"
            "      = hint: fetch it elsewhere and put it into data"
        )
    assert not list(archive.parent.iterdir())


def test_nothing_is_fetched_unless_it_is_asked_for(server: Server, archive: Path) -> None:
    (archive.parent / FOLDER).mkdir(parents=True)
    archive.write_bytes(b"cut off")
    assert "are incomplete or damaged" in message(archive.parent)
    assert server.requests == 0

"""CIFAR-10 and CIFAR-100 from their official archives (the Python version)."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import torch

from spdbuild.data.dataset import DATASETS, Fields, Split
from spdbuild.data.files.images import ArrayImages
from spdbuild.data.files.listing import existing_folder
from spdbuild.data.sets.download import fetch
from spdbuild.data.sets.noise import noise_images
from spdbuild.declaring.roles import Role, role
from spdbuild.errors import DataError
from spdbuild.system.files import unwritten


@dataclass(frozen=True)
class _Cifar:
    """Base: one of the two archives, as torchvision reads it."""

    task: ClassVar[Literal["classification"]] = "classification"
    #: Name of the class of torchvision.datasets.
    reader: ClassVar[str]
    #: What stands in `root` once the archive is unpacked, and before. torchvision knows it, but takes long to import.
    folder: ClassVar[str]
    archive: ClassVar[str]

    root: str = field(metadata=role(Role.RESUMED))
    download: bool = field(default=False, metadata=role(Role.RESUMED))

    def open(self, split: Split) -> ArrayImages:
        return _read(self._reader(), Path(self.root), split, self.download)

    @classmethod
    def fields_in(cls, root: Path) -> Fields | None:
        there = (root / cls.folder).is_dir() or (root / cls.archive).is_file()
        return {"root": str(root)} if there else None

    @classmethod
    def _reader(cls) -> Any:
        from torchvision import datasets

        return getattr(datasets, cls.reader)


@DATASETS.register
@dataclass(frozen=True)
class Cifar10(_Cifar):
    """60,000 photographs of 32x32 pixels in 10 classes: 50,000 to train on, 10,000 to test.

        root/
          cifar-10-batches-py/       or cifar-10-python.tar.gz, which is unpacked

    Every file is checked against its published MD5. `folder` reads the same images as PNG files in class folders.

    root: the folder with the archive, relative to the current folder.
    download: fetch the archive (163 MiB) if it is missing.

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images",
    www.cs.toronto.edu/~kriz/cifar.html.
    """

    reader: ClassVar[str] = "CIFAR10"
    folder: ClassVar[str] = "cifar-10-batches-py"
    archive: ClassVar[str] = "cifar-10-python.tar.gz"

    @classmethod
    def sample(cls) -> ArrayImages:
        names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
        return noise_images(names, size=32)


@DATASETS.register
@dataclass(frozen=True)
class Cifar100(_Cifar):
    """60,000 photographs of 32x32 pixels in 100 classes: 50,000 to train on, 10,000 to test.

        root/
          cifar-100-python/          or cifar-100-python.tar.gz, which is unpacked

    Every file is checked against its published MD5.

    root: the folder with the archive, relative to the current folder.
    download: fetch the archive (161 MiB) if it is missing.

    Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images",
    www.cs.toronto.edu/~kriz/cifar.html.
    """

    reader: ClassVar[str] = "CIFAR100"
    folder: ClassVar[str] = "cifar-100-python"
    archive: ClassVar[str] = "cifar-100-python.tar.gz"

    @classmethod
    def sample(cls) -> ArrayImages:
        return noise_images([f"class {number}" for number in range(100)], size=32)


def _read(reader: Any, root: Path, split: Split, download: bool) -> ArrayImages:
    """The images that torchvision's `reader` reads. It unpickles files, but only those with the published MD5."""
    try:
        data = reader(root, train=split == "train")
    except RuntimeError:
        # A file is missing or has another MD5.
        _provide(reader, root if download else existing_folder(root), download)
        data = _read_unpacked(reader, root, split)
    images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
    return ArrayImages(images, torch.tensor(data.targets), tuple(data.classes))


def _read_unpacked(reader: Any, root: Path, split: Split) -> Any:
    try:
        return reader(root, train=split == "train")
    except RuntimeError:
        raise _damaged(reader, root) from None


def _archive(reader: Any, root: Path) -> Path:
    return root / str(reader.filename)


def _provide(reader: Any, root: Path, download: bool) -> None:
    """Unpack the archive, downloaded first if it is missing and may be; DataError if there is no sound one."""
    from torchvision.datasets.utils import check_integrity

    archive = _archive(reader, root)
    if not check_integrity(str(archive), reader.tgz_md5):
        if not download:
            raise _missing(reader, root)
        fetch(reader.url, archive, reader.tgz_md5)
    try:
        with TemporaryDirectory(prefix=".unpacking-", dir=root) as folder:
            with tarfile.open(archive) as opened:
                opened.extractall(folder, filter="data")
            _move(Path(folder) / reader.base_folder, root / reader.base_folder)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}", hint="remove it and download it again") from None
    except OSError as error:
        raise unwritten(root / reader.base_folder, error, DataError) from None


def _move(source: Path, target: Path) -> None:
    """Replace existing files one by one, because other processes may be reading them."""
    target.mkdir(exist_ok=True)
    for path in source.iterdir() if source.is_dir() else ():
        path.replace(target / path.name)


def _missing(reader: Any, root: Path) -> DataError:
    """The error for a `root` with neither sound files nor a sound archive."""
    archive = _archive(reader, root)
    if (root / reader.base_folder).is_dir():
        return _damaged(reader, root)
    if archive.is_file():
        message = f"{archive} is incomplete or damaged: its MD5 is not {reader.tgz_md5}"
        return DataError(message, hint=f"remove it and download {reader.url} again")
    return DataError(f"{root} holds neither {reader.base_folder}/ nor {reader.filename}", hint=_hint(reader, root))


def _damaged(reader: Any, root: Path) -> DataError:
    folder = root / reader.base_folder
    return DataError(
        f"the files in {folder} are incomplete or damaged: their MD5 is not the published one",
        hint=f"remove {folder} and unpack {reader.filename} again",
    )


def _hint(reader: Any, root: Path) -> str:
    if root.name == reader.base_folder:
        return f"give the folder above it: root: {root.parent}"
    if (root / "train").is_dir():
        return "these are class folders: read them with name: folder"
    if any(root.glob(f"{reader.filename.split('-python')[0]}-*")):
        return f"only the Python version of the archive is read: {reader.url}"
    return "download: true fetches it (where there is a network)"

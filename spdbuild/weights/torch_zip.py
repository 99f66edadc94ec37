"""The zip archives that `torch.save` writes: one pickle, and one file for each storage."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from spdbuild.errors import WeightsError
from spdbuild.weights.pickle_reader import read_pickle
from spdbuild.weights.storages import KnownStorages

#: The pickle of a large checkpoint has a few megabytes: the tensors lie beside it.
MAX_PICKLE_BYTES = 64 * 2**20
MAX_FILES = 200_000

#: The flag bit of an encrypted member.
_ENCRYPTED = 0x1


class TorchZip:
    """An archive whose members are as large as they say and, together, no larger than the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def members(self) -> Mapping[str, zipfile.ZipInfo]:
        """What the archive holds, by name."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                listed = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise self._damaged(error) from None
        _check_members(self.path, listed)
        return {member.filename: member for member in listed}

    def _damaged(self, error: Exception) -> WeightsError:
        return WeightsError(f"{self.path}: the zip archive is damaged: {error}", hint="fetch the file again")

    @cached_property
    def folder(self) -> str:
        """The one folder in the archive, with its slash."""
        pickles = [name for name in self.members if name.count("/") == 1 and name.endswith("/data.pkl")]
        folder = pickles[0].removesuffix("data.pkl") if len(pickles) == 1 else ""
        if f"{folder}constants.pkl" in self.members:
            raise WeightsError(
                f"{self.path}: this is a TorchScript program, not a file of weights",
                hint="save the state_dict of the module that was scripted",
            )
        if not folder:
            raise WeightsError(f"{self.path}: this zip archive was not written by torch.save: it has no data.pkl")
        return folder

    def read_object(self) -> Any:
        """What was saved, as plain data and stand-ins."""
        name = f"{self.folder}data.pkl"
        if self.members[name].file_size > MAX_PICKLE_BYTES:
            raise WeightsError(f"{self.path}: the pickle is larger than {MAX_PICKLE_BYTES:,} bytes")
        byteorder = self.folder + "byteorder"
        if byteorder in self.members and self.read(byteorder) != b"little":
            raise WeightsError(f"{self.path}: the numbers were written on a big-endian machine")
        return read_pickle(BytesIO(self.read(name)), KnownStorages(self.storage_size))

    def storage_size(self, key: str) -> int | None:
        """Bytes of the storage `key`, or None if there is none."""
        member = self.members.get(f"{self.folder}data/{key}")
        return member.file_size if member else None

    def read_storages(self, keys: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
        """The keys with the raw bytes of their storages."""
        names = (f"{self.folder}data/{key}" for key in keys)
        return ((name.removeprefix(f"{self.folder}data/"), bytearray(raw)) for name, raw in self.read_many(names))

    def read(self, name: str) -> bytes:
        return next(self.read_many([name]))[1]

    def read_many(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                for name in names:
                    yield name, archive.read(self.members[name])
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
            raise self._damaged(error) from None


def _check_members(path: Path, listed: list[zipfile.ZipInfo]) -> None:
    """Refuse what would take more memory than the file has bytes."""
    if len(listed) > MAX_FILES:
        raise WeightsError(f"{path}: the archive holds more than {MAX_FILES:,} files")
    if listed and all(member.filename.endswith(".npy") for member in listed):
        hint = "write the arrays with safetensors.numpy.save_file, and give that file"
        raise WeightsError(f"{path}: this is numpy's archive of arrays, not a file of torch.save", hint=hint)
    for member in listed:
        if member.flag_bits & _ENCRYPTED:
            raise WeightsError(f"{path}: '{member.filename}' is encrypted, which torch.save never does")
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise WeightsError(
                f"{path}: '{member.filename}' is compressed to {member.compress_size:,} of {member.file_size:,} bytes, "
                "which torch.save never does"
            )
    total, size = sum(member.file_size for member in listed), path.stat().st_size
    if total > size:
        raise WeightsError(f"{path}: the members claim {total:,} bytes, but the file has {size:,}")
    if len({member.filename for member in listed}) < len(listed):
        raise WeightsError(f"{path}: the archive holds two files of one name")

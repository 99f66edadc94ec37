"""The files that `torch.save` wrote before version 1.6: five pickles in a row, and then the storages.

torchvision's older weights have this form.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from spdbuild.errors import WeightsError
from spdbuild.weights.pickle_reader import read_pickle
from spdbuild.weights.storages import KnownStorages

#: The first pickle is this number, the second the version of the format.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
VERSION = 1001
START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


class TorchLegacy:
    """A file whose storages can be found only after its pickles are read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[str, tuple[int, int]] = {}

    def read_object(self) -> Any:
        """What was saved, as plain data and stand-ins."""
        # A map of the file: reading past its end gives what there is, whatever size the pickle claims.
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
            pickles = cast(IO[bytes], stream)
            if [read_pickle(pickles, _no_storage) for _ in range(2)] != [MAGIC_NUMBER, VERSION]:
                raise WeightsError(f"{self.path}: this is no file of torch.save, or of a version of it not known here")
            system = read_pickle(pickles, _no_storage)
            if not isinstance(system, dict) or system.get("little_endian") is not True:
                raise WeightsError(f"{self.path}: the numbers were written on a big-endian machine")
            storages = KnownStorages()
            saved = read_pickle(pickles, storages)
            keys = read_pickle(pickles, _no_storage)
            self.places = self._find(stream, keys, storages)
        return saved

    def _find(self, stream: mmap.mmap, keys: Any, storages: KnownStorages) -> dict[str, tuple[int, int]]:
        """Start and bytes of each storage; they follow each other in the order of `keys`."""
        places: dict[str, tuple[int, int]] = {}
        position, end = stream.tell(), len(stream)
        for key in keys if isinstance(keys, list) else ():
            if not isinstance(key, str) or key in places or key not in storages.seen:
                raise WeightsError(f"{self.path}: the list of storages names {key!r:.80}, which no tensor uses")
            size = storages.seen[key]
            places[key] = (position + 8, size)
            if position + 8 + size > end:
                raise WeightsError(f"{self.path}: the file ends within the storage '{key}' of {size:,} bytes")
            _check_count(self.path, key, stream[position : position + 8], size)
            position += 8 + size
        missing = next((key for key in storages.seen if key not in places), None)
        if missing is not None:
            raise WeightsError(f"{self.path}: the storage '{missing}' is not in the file")
        return places

    def read_storages(self, keys: Iterable[str]) -> Iterator[tuple[str, bytearray]]:
        """The keys with the raw bytes of their storages."""
        with self.path.open("rb") as file:
            for key in keys:
                start, size = self.places[key]
                file.seek(start)
                yield key, bytearray(file.read(size))


def _check_count(path: Path, key: str, raw: bytes, size: int) -> None:
    """Check the number of elements, which is repeated in front of them."""
    (count,) = struct.unpack("<q", raw)
    if not (count == size == 0 or count > 0 and size % count == 0 and size // count in (1, 2, 4, 8, 16)):
        raise WeightsError(f"{path}: the storage '{key}' of {size:,} bytes claims {count:,} elements")


def _no_storage(identifier: Any) -> Any:
    raise WeightsError(f"the header of the file refers to {identifier!r:.80}")

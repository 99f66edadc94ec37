"""The identifiers by which a torch pickle refers to the numbers that lie outside it."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from typing import Any

from spdbuild.errors import WeightsError
from spdbuild.weights.stand_ins import ITEM_SIZES, STORAGE_DTYPES, GlobalName, Storage


def parse_identifier(identifier: Any) -> Storage:
    """The storage that a tuple describes: 'storage', class, key, device, number of elements, part of it."""
    if not isinstance(identifier, tuple) or len(identifier) not in (5, 6) or identifier[0] != "storage":
        raise WeightsError(f"the pickle refers to {reprlib.repr(identifier)}, which is no storage of torch")
    _, kind, key, _, count, *part = identifier
    dtype = STORAGE_DTYPES.get(str(kind)) if isinstance(kind, GlobalName) else None
    if dtype is None:
        raise WeightsError(
            f"the storage {reprlib.repr(key)} is of the kind {reprlib.repr(kind)}, which is not read here",
            hint=f"numbers can be {', '.join(ITEM_SIZES)}; convert the tensor and save the file anew",
        )
    if not isinstance(key, str) or type(count) is not int or not 0 <= count < 2**62:
        raise WeightsError(f"the storage {reprlib.repr(key)} has {reprlib.repr(count)} elements")
    return Storage(key, dtype, count) if not part or part[0] is None else _part(Storage(key, dtype, count), part[0])


def _part(whole: Storage, part: Any) -> Storage:
    """The `part` (key, start, count) of a storage, as in files from before torch 1.6."""
    if not isinstance(part, tuple) or len(part) != 3 or not all(type(n) is int and n >= 0 for n in part[1:]):
        raise WeightsError(f"the storage '{whole.key}' has the part {reprlib.repr(part)}")
    _, start, count = part
    if start + count > whole.count:
        raise WeightsError(
            f"the storage '{whole.key}' of {whole.count:,} elements has no part {start}..{start + count}"
        )
    return Storage(whole.key, whole.dtype, count, start)


def _is_class(identifier: Any) -> bool:
    """Whether this is 'module', class, file, source."""
    whole = isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module"
    return whole and isinstance(identifier[1], GlobalName)


class KnownStorages:
    """The storages that a pickle may refer to: each key always with the same size, and with that in the file.

    size: the bytes that the file holds under a key, or None if it has none; left out where that is known only later.
    """

    def __init__(self, size: Callable[[str], int | None] | None = None) -> None:
        self.size = size
        self.seen: dict[str, int] = {}

    def __call__(self, identifier: Any) -> Storage | GlobalName:
        if _is_class(identifier):
            # Before torch 1.6 a module's class came with its source code, which is of no use here.
            kind: GlobalName = identifier[1]
            return kind
        storage = parse_identifier(identifier)
        count = identifier[4]
        needed = count * ITEM_SIZES[storage.dtype]
        if self.seen.setdefault(storage.key, needed) != needed:
            raise WeightsError(f"the pickle gives the storage '{storage.key}' two sizes")
        if self.size is not None and (held := self.size(storage.key)) != needed:
            raise WeightsError(
                f"the storage '{storage.key}' should be {count:,} x {storage.dtype}, {needed:,} bytes, "
                + ("but the file has none of that name" if held is None else f"but the file holds {held:,}")
            )
        return storage

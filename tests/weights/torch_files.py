"""Checkpoints put together byte by byte, as an attacker would."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

FLOATS = b"ctorch\nFloatStorage\n"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def number(value: int) -> bytes:
    """The opcode that pushes `value`."""
    return pickle.dumps(value, protocol=0)[:-1]


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def storage(key: str = "0", count: int = 4, kind: bytes = FLOATS) -> bytes:
    """The opcodes that push the storage `key` of `count` floats."""
    return b"(" + text("storage") + kind + text(key) + text("cpu") + number(count) + b"tQ"


def tensor(count: int = 4, offset: int = 0, shape: tuple[int, ...] = (4,), stride: tuple[int, ...] = (1,)) -> bytes:
    """The opcodes that push a tensor over a storage of `count` floats."""
    sizes, steps = (b"(" + b"".join(map(number, values)) + b"t" for values in (shape, stride))
    return REBUILD + b"(" + storage(count=count) + number(offset) + sizes + steps + b"\x89N" + b"tR"


def state_dict(value: bytes) -> bytes:
    """A pickle of {"weight": value}."""
    return b"\x80\x02}" + text("weight") + value + b"s."


def write_zip(path: Path, pickled: bytes, storages: dict[str, bytes] | None = None, **members: bytes) -> Path:
    """An archive as torch.save writes it, around `pickled`; one storage of four floats unless others are given."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, raw in ({"0": bytes(16)} if storages is None else storages).items():
            archive.writestr(f"archive/data/{key}", raw)
        for name, raw in members.items():
            archive.writestr(f"archive/{name.replace('__', '.')}", raw)
    return path

"""Arrays of pixels in files that processes map, and how damage to such a file is seen."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Length in bytes of the blocks whose words `checksum` adds up.
_BLOCK = 2**16


def npy_header(shape: tuple[int, ...]) -> bytes:
    """How a .npy file of uint8 `shape` begins; the pixels follow, row after row."""
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


def map_pixels(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The uint8 `shape` of a .npy file, mapped: processes share one copy of it, and what they change stays theirs.

    Raises ValueError if the file has anything else, and OSError if it cannot be read.
    """
    header = npy_header(shape)
    with file.open("rb") as opened:
        # numpy would evaluate whatever a damaged header says.
        begins_so = opened.read(len(header)) == header
    length = len(header) + int(np.prod(shape, dtype=np.int64))
    if not begins_so or file.stat().st_size != length:
        raise ValueError(f"{file.name} is not the array that was written")
    # Copy-on-write: torch needs writable memory.
    return np.memmap(file, np.uint8, mode="c", offset=len(header), shape=shape)


def checksum(pixels: NDArray[np.uint8]) -> int:
    """A number of 32 bits that differs once a part of the pixels was cut off, cleared, or changed by an accident.

    It is the CRC-32 of the sums of each block's words, which are added up as fast as memory is read; the CRC-32 of the
    pixels themselves would take seven times as long.
    """
    flat = pixels.reshape(-1)
    whole = len(flat) - len(flat) % _BLOCK
    sums = flat[:whole].view("<u8").reshape(-1, _BLOCK // 8).sum(axis=1, dtype=np.uint64)
    return zlib.crc32(flat[whole:].data, zlib.crc32(sums.astype("<u8").data))

"""What happens to memory that tensors no longer need."""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Options of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_MMAP_MAX = -4

#: Where glibc's own thresholds end up that grow with what a program frees, and how many blocks it maps at most.
_LARGEST_THRESHOLD = 32 * 2**20
_MAPPED_BLOCKS = 65_536

#: An entry for each context that lasts. What they set is one for the process, whose threads may each have some.
_CONTEXTS: list[object] = []
_LOCK = threading.Lock()


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory for the next tensors while the context lasts; at its end the system gets it back.

    glibc maps every large block anew and unmaps it when it is freed. The activations of a batch are such blocks, and
    the system fills each of their pages with zeros before it is written, which takes up to a third of a forward pass on
    the CPU, and up to a sixth of a training step (docs/results.md). Other C libraries are left as they are. It holds
    for the whole process, until the last of several such contexts ends.
    """
    mallopt = _mallopt()
    if mallopt is None:
        yield
        return
    with _LOCK:
        _CONTEXTS.append(object())
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        with _LOCK:
            _CONTEXTS.pop()
            if not _CONTEXTS:
                _give_back(mallopt)


def _give_back(mallopt: Callable[[int, int], int]) -> None:
    mallopt(_MMAP_MAX, _MAPPED_BLOCKS)
    mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
    mallopt(_TRIM_THRESHOLD, 2 * _LARGEST_THRESHOLD)
    ctypes.CDLL(None).malloc_trim(0)


def _mallopt() -> Callable[[int, int], int] | None:
    """The function of glibc; None with another C library."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library.mallopt if hasattr(library, "gnu_get_libc_version") else None

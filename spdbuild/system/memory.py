"""How much memory this process can still get, private and shared with others."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spdbuild.errors import DataError

try:
    import resource
except ImportError:
    # Windows has no such limits.
    resource = None  # type: ignore[assignment]


@dataclass(frozen=True)
class _Files:
    """The files in which a version of Linux's control groups has a group's limit and usage.

    spare: the entry of memory.stat that counts what the group's file cache would give back.
    """

    limit: str
    used: str
    spare: str


_FIRST = _Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_SECOND = _Files("memory.max", "memory.current", "inactive_file")


def free_memory(processes: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """The bytes that the machine has available, file caches included, or fewer where a container or `ulimit -v` limits.

    processes, groups: where Linux reports it. On Windows file caches are no part of it; elsewhere the whole memory
    counts as free.
    """
    return min([_available(processes), *_left_in_groups(processes, groups), *_left_of_addresses(processes)])


def free_shared_memory(folder: Path = Path("/dev/shm")) -> int:
    """The bytes that processes can share: at most `free_memory`, and what is left of Linux's folder for it.

    A container's folder often has only 64 MB, and a batch that does not fit there cannot be sent between processes.
    """
    free = free_memory()
    if not folder.is_dir():
        return free
    return min(free, shutil.disk_usage(folder).free)


def require_memory(needed: int, what: str, *, hint: str) -> None:
    """Raise DataError if `what`, a plural, needs more bytes than are free."""
    free = free_memory()
    if needed > free:
        raise DataError(f"{what} need {_gib(needed)} of memory, and {_gib(free)} are free", hint=hint)


def _gib(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"


def _available(processes: Path) -> int:
    try:
        return 1024 * _entry(processes / "meminfo", "MemAvailable:")
    except OSError:
        pass
    if hasattr(os, "sysconf"):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _available_on_windows()


class _WindowsMemory(ctypes.Structure):
    """The MEMORYSTATUSEX of Windows: its own length in bytes, percent in use, and bytes.

    Source: Microsoft, Win32 API, GlobalMemoryStatusEx.
    """

    _fields_ = [
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("others", ctypes.c_uint64 * 5),
    ]


def _available_on_windows() -> int:
    memory = _WindowsMemory(length=ctypes.sizeof(_WindowsMemory))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(memory)):  # type: ignore[attr-defined]
        raise OSError("Windows does not say how much memory is free")
    return int(memory.available)


def _left_in_groups(processes: Path, groups: Path) -> Iterator[int]:
    """The bytes that are left to each group that has a limit and that the process is in."""
    try:
        lines = (processes / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        files, root = (_FIRST, groups / "memory") if controllers else (_SECOND, groups)
        # Within a container the path can be the host's, which does not exist there: then the root is the group.
        folder = root / path.lstrip("/")
        for level in (folder, *folder.parents):
            if level.is_relative_to(root) and (level / files.limit).is_file():
                yield from _left(level, files)


def _left(group: Path, files: _Files) -> Iterator[int]:
    limit = (group / files.limit).read_text(encoding="utf-8").strip()
    if limit != "max":
        used = int((group / files.used).read_text(encoding="utf-8"))
        yield max(int(limit) - used + _entry(group / "memory.stat", files.spare), 0)


def _left_of_addresses(processes: Path) -> Iterator[int]:
    """The bytes that `ulimit -v` leaves to this process, if it has that limit."""
    if resource is None:
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        used = 0
        with suppress(OSError):
            used = 1024 * _entry(processes / "self" / "status", "VmSize:")
        yield max(limit - used, 0)


def _entry(file: Path, name: str) -> int:
    """The number after a name at the start of a line; 0 if there is none."""
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return next((int(words[1]) for words in lines if words[:1] == [name]), 0)

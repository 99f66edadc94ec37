"""Free memory as Linux tells it, in folders that look like its own."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spdbuild.system import memory
from spdbuild.system.memory import free_memory, free_shared_memory


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with 8 GB available, of which hardly any is free right now, and a process in no group."""
    (tmp_path / "proc" / "self").mkdir(parents=True)
    meminfo = "MemTotal: 16000000 kB\nMemFree: 1000 kB\nMemAvailable: 8000000 kB\n"
    (tmp_path / "proc" / "meminfo").write_text(meminfo)
    (tmp_path / "proc" / "self" / "cgroup").write_text("")
    return tmp_path


def free(machine: Path) -> int:
    return free_memory(machine / "proc", machine / "groups")


def make_group(machine: Path, path: str, **contents: str) -> None:
    folder = machine / "groups" / path
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_what_caches_of_files_would_give_back_is_free(machine: Path) -> None:
    assert free(machine) == 8_000_000 * 1024


@pytest.mark.parametrize("path", ["/job/part", "/"])
def test_a_limit_of_a_group_or_of_one_around_it_counts(machine: Path, path: str) -> None:
    (machine / "proc" / "self" / "cgroup").write_text(f"0::{path}\n")
    make_group(machine, "job/part", memory__max="max", memory__current="600", memory__stat="inactive_file 50")
    outer = "job" if path == "/job/part" else "."
    make_group(machine, outer, memory__max="5000", memory__current="3000", memory__stat="anon 9\ninactive_file 500")
    assert free(machine) == 5000 - 3000 + 500


def test_groups_of_the_first_version_count_too(machine: Path) -> None:
    (machine / "proc" / "self" / "cgroup").write_text("5:cpu:/a\n4:hugetlb,memory:/not/in/this/container\n")
    make_group(
        machine,
        "memory",
        memory__limit_in_bytes="4000",
        memory__usage_in_bytes="3500",
        memory__stat="inactive_file 1\ntotal_inactive_file 200",
    )
    assert free(machine) == 700


def test_a_group_above_its_limit_has_nothing_left(machine: Path) -> None:
    (machine / "proc" / "self" / "cgroup").write_text("0::/\n")
    make_group(machine, ".", memory__max="100", memory__current="300", memory__stat="inactive_file 0")
    assert free(machine) == 0


def test_other_systems_have_their_whole_memory(tmp_path: Path) -> None:
    assert free_memory(tmp_path / "proc", tmp_path / "groups") > 2**20


def test_windows_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(memory: Any) -> int:
        fields = struct.unpack("II7Q", memory._obj)
        assert fields[0] == len(bytes(memory._obj)) == 64
        memory._obj.available = 3 << 30
        return answer

    kernel = SimpleNamespace(GlobalMemoryStatusEx=told)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.delattr(os, "sysconf")
    answer = 1
    assert free_memory(tmp_path / "proc", tmp_path / "groups") == 3 << 30
    answer = 0
    with pytest.raises(OSError, match="Windows does not say"):
        free_memory(tmp_path / "proc", tmp_path / "groups")


def test_a_limit_on_the_addresses_of_the_process_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (5000 * 1024, 0) if kind == resource.RLIMIT_AS else None)
    assert free(machine) == 5000 * 1024
    (machine / "proc" / "self" / "status").write_text("VmPeak:\t  4000 kB\nVmSize:\t    3000 kB\n")
    assert free(machine) == 2000 * 1024
    monkeypatch.setattr(memory, "resource", None)
    assert free(machine) == 8_000_000 * 1024


def test_a_process_that_has_all_its_addresses_can_get_no_more(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (machine / "proc" / "self" / "status").write_text("VmSize: 3000 kB\n")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (2000 * 1024, 2000 * 1024))
    assert free(machine) == 0


def test_this_machine_has_some() -> None:
    assert free_memory() > 2**20


def test_memory_to_share_is_what_is_left_of_the_folder_for_it(tmp_path: Path) -> None:
    state = os.statvfs(tmp_path)
    assert free_shared_memory(tmp_path) <= min(free_memory(), state.f_blocks * state.f_frsize)
    assert free_shared_memory(tmp_path / "none") > 2**20

"""Freed memory is kept while it is needed again, and given back afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

from spdbuild.system import freed_memory
from spdbuild.system.freed_memory import freed_memory_kept

#: Prints how many pages the system handed out for each of some arrays of 100 MB, by turns.
PAGES = """\
import resource
import numpy as np
from spdbuild.system.freed_memory import freed_memory_kept

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(25_000_000, dtype=np.float32)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(pages(), pages())
with freed_memory_kept():
    print(pages(), pages())
print(pages(), pages())
"""


@pytest.mark.skipif(freed_memory._mallopt() is None, reason="needs glibc")
def test_what_is_freed_serves_the_next_array_while_the_context_lasts() -> None:
    done = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    before, inside, after = ([int(count) for count in line.split()] for line in done.stdout.splitlines())
    # An array of 100 MB has 24,414 pages of 4 KiB; with huge ones the system hands out some hundreds.
    assert min(*before, inside[0]) > 40
    assert inside[1] < 10
    assert min(after) > 40


@pytest.mark.skipif(freed_memory._mallopt() is None, reason="needs glibc")
def test_the_system_gets_the_memory_back_at_the_end() -> None:
    code = f"""{PAGES}
import os
def held():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
with freed_memory_kept():
    np.ones(100_000_000, dtype=np.float32)
    print(held())
print(held())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    inside, after = map(int, done.stdout.splitlines()[-2:])
    assert inside > 400e6 > after


@pytest.mark.skipif(freed_memory._mallopt() is None, reason="needs glibc")
def test_the_last_of_several_contexts_gives_it_back() -> None:
    code = f"""{PAGES}
with freed_memory_kept():
    with freed_memory_kept():
        pages()
    print(pages())
print(pages(), pages())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    inside, after = done.stdout.splitlines()[-2:]
    assert int(inside) < 10
    assert min(map(int, after.split())) > 40


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freed_memory.sys, "platform", "darwin")
    monkeypatch.setattr(freed_memory.ctypes, "CDLL", lambda _: pytest.fail("no library is asked"))
    with freed_memory_kept():
        pass


def test_errors_pass_through() -> None:
    with pytest.raises(ValueError, match="of the caller"), freed_memory_kept():
        raise ValueError("of the caller")

"""How many threads or processes are worth starting."""

from __future__ import annotations

import os


def processors() -> int:
    """How many processors this process may use, which in a container can be less than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

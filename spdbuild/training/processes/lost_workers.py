"""Data-loading processes that have ended before their time, most of them killed by the system."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spdbuild.errors import RunError

_FEWER = "fewer workers or a smaller batch"

#: How what torch says of a worker begins, and how it says which signal ended one: "Killed" for want of
#: memory, "Bus error" for want of shared memory.
_LOST, _SIGNAL = "DataLoader worker", re.compile(r"by signal: ([^.]+)")


@contextmanager
def lost_workers_told(more: Callable[[], str] = str) -> Iterator[None]:
    """Turn torch's errors about lost workers into a RunError. more: what else its hint says, if anything.

    torch raises them wherever the program is at that moment, so the error that arrives here may be a consequence.
    """
    try:
        yield
    except (RuntimeError, RunError) as error:
        told = _told_of_a_worker(error)
        if not told:
            raise
        found = _SIGNAL.search(told)
        signal = found[1] if found else ""
        what, hint = "a process that reads images was killed: out of memory?", _FEWER
        if signal in ("", "Bus error"):
            what = "a process that reads images has ended: is there no room in /dev/shm, which processes share?"
            hint = f"{_FEWER}; in a container, more room there, as with `docker run --shm-size=8g`"
        elif signal != "Killed":
            what, hint = f"a process that reads images was ended by a signal: {signal}", "workers=0 shows where"
        lost = RunError(what, hint="; ".join(filter(None, (hint, more()))))
        # Chained, so that callers that know more about the run can find the cause.
        raise lost from error


def _told_of_a_worker(error: BaseException | None) -> str:
    """What torch says of a lost worker in an error or those that led to it; empty if nothing."""
    while error is not None:
        if isinstance(error, RuntimeError) and str(error).startswith(_LOST):
            return str(error)
        error = error.__cause__ or error.__context__
    return ""

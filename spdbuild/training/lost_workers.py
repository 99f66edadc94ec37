"""Data-loading processes that the system has killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from spdbuild.errors import RunError

_FEWER = "fewer workers or a smaller batch"


@contextmanager
def lost_workers_told(more: Callable[[], str] = str) -> Iterator[None]:
    """Turn torch's errors about lost workers into a RunError. more: what else its hint says, if anything.

    torch raises them wherever the program is at that moment, so the error that arrives here may be a consequence.
    """
    try:
        yield
    except (RuntimeError, RunError) as error:
        if not _tells_of_a_worker(error):
            raise
        hint = "; ".join(filter(None, (_FEWER, more())))
        lost = RunError("a process that reads images was killed: out of memory?", hint=hint)
        # Chained, so that callers that know more about the run can find the cause.
        raise lost from error


def _tells_of_a_worker(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
            return True
        error = error.__cause__ or error.__context__
    return False

"""SIGINT and SIGTERM end a run after the step at hand; at once if they come twice, or before the first step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


class StopRequest:
    """Whether somebody has asked the run to stop. name: of the signal that did, or empty."""

    def __init__(self) -> None:
        self.name = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def interrupt_on_sigterm() -> Iterator[None]:
    """While the context lasts SIGTERM raises KeyboardInterrupt, as SIGINT does: there is nothing to save."""
    before = None
    # Only the main thread of a program may handle signals; elsewhere they stay what they are.
    with suppress(ValueError):
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """While the context lasts the two signals are noted; the second restores what they did before."""
    request = StopRequest()
    before: dict[int, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        request.name = signal.Signals(number).name
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    with suppress(ValueError):
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        restore()

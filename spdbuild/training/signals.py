"""Signals end a run after the step at hand; at once if they come twice, or before the first step."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


class EndedBySignal(KeyboardInterrupt):
    """SIGTERM or SIGHUP as an error like that of Ctrl-C, so that on the way out what is half written is removed.

    number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopRequest:
    """Whether somebody has asked the run to stop. name: of the signal that did, or empty."""

    def __init__(self) -> None:
        self.name = ""

    def __bool__(self) -> bool:
        return bool(self.name)


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """While the context lasts SIGTERM and SIGHUP raise EndedBySignal: there is nothing to save."""
    with _answered(_raise, (signal.SIGTERM, *_hangup())):
        yield


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """While the context lasts signals are noted; the second finds what they did before."""
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        request.name = signal.Signals(number).name
        restore()

    with _answered(note, (signal.SIGINT, signal.SIGTERM, *_hangup())) as restore:
        yield request


@contextmanager
def _answered(answer: Callable[[int, FrameType | None], None], numbers: Iterable[int]) -> Iterator[Callable[[], None]]:
    """The context in which signals are answered so; it gives what ends that early."""
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    # Only the main thread of a program may handle signals; elsewhere they stay what they are.
    with suppress(ValueError):
        before.update({number: signal.signal(number, answer) for number in numbers})
    try:
        yield restore
    finally:
        restore()


def _raise(number: int, frame: FrameType | None) -> None:
    raise EndedBySignal(number)


def _hangup() -> tuple[int, ...]:
    """The signal of a terminal that is gone, unless somebody wants the program to outlive it, as `nohup` does."""
    return () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)

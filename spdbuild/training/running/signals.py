"""Signals end a run after the current step, or at once while it waits for a batch.

They also end it at once if they come twice, or before the first step.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class EndedBySignal(KeyboardInterrupt):
    """SIGTERM or SIGHUP as an error like that of Ctrl-C, so that half-written files are removed on the way out.

    number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StoppedWaiting(KeyboardInterrupt):
    """A run that a signal has asked to stop, between two batches."""


class StopRequest:
    """Whether a signal has asked the run to stop. number: of the signal, or 0."""

    def __init__(self) -> None:
        self.number = 0
        self._waits = False

    def __bool__(self) -> bool:
        return bool(self.number)

    def note(self, number: int) -> None:
        """Record a signal; raises StoppedWaiting while an item is `awaited`, which may never come."""
        self.number = number
        if self._waits:
            raise StoppedWaiting

    def awaited(self, items: Iterable[T]) -> Iterator[T]:
        """The items, until a signal has come: then StoppedWaiting is raised in place of the next one."""
        iterator = iter(items)
        while True:
            self._waits = True
            try:
                if self:
                    raise StoppedWaiting
                item = next(iterator)
            except StopIteration:
                return
            finally:
                self._waits = False
            yield item


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise EndedBySignal while the context lasts: there is nothing to save."""
    with _handled(_raise, (signal.SIGTERM, *_hangup())):
        yield


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Only note a signal while the context lasts; a second one does what it did before."""
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        restore()
        request.note(number)

    with _handled(note, (signal.SIGINT, signal.SIGTERM, *_hangup())) as restore:
        yield request


@contextmanager
def _handled(answer: Callable[[int, FrameType | None], None], numbers: Iterable[int]) -> Iterator[Callable[[], None]]:
    """Let `answer` handle signals while the context lasts; yields a function that ends this early."""
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
    """The signal of a closed terminal, unless it is ignored so that the program outlives it, as by `nohup`."""
    # Windows has no such signal.
    number: int | None = getattr(signal, "SIGHUP", None)
    return () if number is None or signal.getsignal(number) is signal.SIG_IGN else (number,)

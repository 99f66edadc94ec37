"""What signals do while a run trains, and before."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from spdbuild.training.running.signals import EndedBySignal, StoppedWaiting, interrupt_on_signals, stop_on_signals

STOPPING = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPPING, ids=lambda number: number.name)
def test_a_signal_is_noted_and_the_second_does_what_it_did_before(number: signal.Signals) -> None:
    heard = []
    signal.signal(number, lambda *_: heard.append(number))
    with stop_on_signals() as request:
        assert not request
        os.kill(os.getpid(), number)
        assert request.number == number
        assert not heard
        os.kill(os.getpid(), number)
        assert heard == [number]


def test_what_is_waited_for_when_a_signal_comes_is_waited_for_no_longer() -> None:
    def items() -> Iterator[int]:
        yield 1
        os.kill(os.getpid(), signal.SIGTERM)
        yield 2

    with stop_on_signals() as request:
        awaited = request.awaited(items())
        assert next(awaited) == 1
        with pytest.raises(StoppedWaiting):
            next(awaited)
        assert request.number == signal.SIGTERM


def test_a_signal_between_two_items_is_noted_and_there_is_no_next_one() -> None:
    with stop_on_signals() as request:
        awaited = request.awaited([1, 2])
        assert next(awaited) == 1
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StoppedWaiting):
            next(awaited)


def test_without_a_signal_all_items_come() -> None:
    with stop_on_signals() as request:
        assert list(request.awaited([1, 2])) == [1, 2]
        # What is done behind them is not waiting.
        os.kill(os.getpid(), signal.SIGTERM)
        assert request


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_ends_a_program_is_raised_where_there_is_nothing_to_save(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(EndedBySignal, match=number.name) as caught, interrupt_on_signals():
        os.kill(os.getpid(), number)
    assert caught.value.number == number
    assert signal.getsignal(number) == before


def test_a_program_that_is_to_outlive_its_terminal_does() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGHUP)
    assert not request
    with interrupt_on_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_system_without_hangups_has_the_other_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    with stop_on_signals() as request:
        os.kill(os.getpid(), signal.SIGINT)
    assert request.number == signal.SIGINT
    with pytest.raises(EndedBySignal, match="SIGTERM"), interrupt_on_signals():
        os.kill(os.getpid(), signal.SIGTERM)

"""StopSignals: a signal is a request, never an exception."""

from __future__ import annotations

import signal
import threading

import pytest

from chatstore.cli.stopping import SIGNALS, StopSignals

DEADLINE = 10.0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_told_to_the_action_and_interrupts_nothing(number: int) -> None:
    told = threading.Event()
    with StopSignals() as signals:
        signals.then(told.set)
        signal.raise_signal(number)
        assert told.wait(DEADLINE)
        assert signals.received == number


def test_an_action_that_comes_after_the_signal_is_called_at_once() -> None:
    told = threading.Event()
    with StopSignals() as signals:
        first = threading.Event()
        signals.then(first.set)
        signal.raise_signal(signal.SIGINT)
        assert first.wait(DEADLINE)
        signals.then(told.set)
        assert told.is_set()


def test_everything_is_as_before_when_it_ends() -> None:
    handlers = [signal.getsignal(number) for number in SIGNALS]
    threads = threading.active_count()
    with StopSignals():
        assert [signal.getsignal(number) for number in SIGNALS] != handlers
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert signals.received is None
    finally:
        signal.signal(signal.SIGINT, before)

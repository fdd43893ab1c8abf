"""Notices as text, and marks until they are told or looked at."""

from __future__ import annotations

import threading
import time

import pytest

from chatstore.wakers.nats.bus import NatsWaker
from chatstore.wakers.notices import EVERYTHING, MOST, Gathered, Notice, read, write

MARKS = [f"{number:012x}" for number in range(MOST + 1)]


def test_a_notice_reads_as_it_was_written() -> None:
    assert read(write("me", MARKS[:3])) == Notice("me", frozenset(MARKS[:3]))
    assert read(write("me", [])) == Notice("me", frozenset())


def test_more_than_fits_in_a_notice_is_everything() -> None:
    assert len(write("s" * 12, MARKS[:MOST])) < 8_000
    assert read(write("me", MARKS)) == read(write("me", None)) == read(f"me {EVERYTHING}") == Notice("me", None)


def test_what_is_no_notice_is_refused() -> None:
    with pytest.raises(ValueError, match="unpack"):
        read(" ")


def test_marks_are_gathered_once_each_and_too_many_are_everything() -> None:
    gathered = Gathered()
    assert not gathered
    gathered.add(MARKS[:2])
    gathered.add(MARKS[1:3])
    assert gathered
    assert (gathered.take(), bool(gathered), gathered.take()) == (frozenset(MARKS[:3]), False, frozenset())
    for mark in MARKS:
        gathered.add([mark])
    gathered.add(MARKS[:1])
    assert (gathered.take(), bool(gathered), gathered.take()) == (None, False, frozenset())
    gathered.add(None)
    assert gathered
    assert gathered.take() is None


class Waiting:
    """One wait of a waker on a thread; what it looked at, and what it gave."""

    def __init__(self, waker: NatsWaker, timeout: float = 30.0) -> None:
        self.looked: list[frozenset[str] | None] = []
        self._found: list[bool] = []
        self._thread = threading.Thread(target=lambda: self._found.append(waker.wait(timeout, self._moved)))
        self._thread.start()

    def _moved(self, *marks: frozenset[str]) -> bool:
        self.looked.append(marks[0] if marks else None)
        return bool(marks)

    def ended(self) -> bool:
        self._thread.join(10)
        return self._found.pop()


def test_a_waker_that_begins_or_ceases_to_hear_has_everything_looked_at_once() -> None:
    waker = NatsWaker()
    for hears in (True, False, True):
        waiting = Waiting(waker)
        waker.turn(hears)
        assert waiting.ended() is False  # with which the hub looks
        assert waker.hears is hears


def test_a_waker_that_hears_looks_at_what_was_written_to_and_at_nothing_else() -> None:
    waker = NatsWaker()
    waker.turn(True)
    assert Waiting(waker).ended() is False
    begun, quiet = time.monotonic(), Waiting(waker, 0.1)
    assert (quiet.ended(), quiet.looked) == (False, [])
    assert time.monotonic() - begun >= 0.1
    waker.hear(MARKS[:1])
    waker.hear(MARKS[1:2])
    told = Waiting(waker)
    assert (told.ended(), told.looked) == (True, [frozenset(MARKS[:2])])
    waker.hear(None)
    everything = Waiting(waker)
    assert (everything.ended(), everything.looked) == (False, [None])


def test_a_nudge_ends_the_wait_or_the_next_one() -> None:
    waker = NatsWaker()
    for hears in (False, True):
        waker.turn(hears)
        if hears:
            assert Waiting(waker).ended() is False
        waker.nudge()
        assert Waiting(waker).ended() is False

"""The thread that does what has to be done from time to time, without a database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from chatstore.writing.flushing import Flusher
from chatstore.writing.pending import Write

DEADLINE = 20.0


class Commits:
    """Takes every write."""

    def run_all(
        self, writes: Iterable[tuple[Write[object], str | None]], *, synced: bool = True
    ) -> list[Exception | None]:
        return [None for _ in writes]


@pytest.fixture
def flusher() -> Iterator[Flusher]:
    started = Flusher(Commits())
    yield started
    started.close()


def after(times: int, done: threading.Event, *, again: bool = False) -> Callable[[], bool]:
    """A chore that says when it was done so often."""
    left = iter(range(times - 1))

    def chore() -> bool:
        if next(left, None) is None:
            done.set()
        return again and not done.is_set()

    return chore


def test_what_is_due_first_is_done_first(flusher: Flusher) -> None:
    done = threading.Event()
    flusher.every(3600, lambda: None)
    flusher.every(0.01, after(3, done))
    flusher.start()
    assert done.wait(DEADLINE)


@pytest.mark.slow
def test_a_chore_that_asks_for_it_is_done_again_at_once(flusher: Flusher) -> None:
    done = threading.Event()
    flusher.every(0.01, after(1, threading.Event()))
    flusher.start()
    flusher.every(4, after(10, done, again=True))
    assert done.wait(DEADLINE), "ten times four seconds would be too late"


def test_a_chore_that_fails_is_tried_again_and_keeps_nothing_else_from_being_done(flusher: Flusher) -> None:
    tried, other = threading.Event(), threading.Event()
    note = after(3, tried)

    def fail() -> None:
        note()
        raise OSError("no")

    flusher.every(0.01, fail)
    flusher.every(0.01, after(3, other))
    flusher.start()
    assert tried.wait(DEADLINE)
    assert other.wait(DEADLINE)

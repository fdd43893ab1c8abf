"""Telling other processes that contexts were written to.

Never within the transaction that writes: PostgreSQL lets transactions with a NOTIFY commit one at a time, over all
of the server. A commit after a pause takes its notice with it, as a transaction of its own; while one follows the
other, a thread sends one notice for all that was committed in the last few milliseconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple
from uuid import uuid4

import psycopg

from chatstore.cursor import context_mark

GATHER: Final = 0.002
"""Seconds between two notices, at least."""
MOST: Final = 600
"""Marks in one notice, at most: it takes fewer than 8,000 bytes. Of more contexts it says that all are to be looked
at."""
EVERYTHING: Final = "*"
# A notice has nothing to be kept for: its own transaction need not wait for the disk.
_SEND: Final = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)"

_log = logging.getLogger(__name__)


class Notice(NamedTuple):
    """Who wrote, and the marks of the contexts; None: of more than fit in a notice."""

    sender: str
    marks: frozenset[str] | None


def sender() -> str:
    """A name for this process as one that sends."""
    return uuid4().hex[:12]


def channel_of(identity: str) -> str:
    """The channel of a store's notices."""
    return f"chatstore_{identity}"


def write(sender: str, marks: Collection[str]) -> str:
    """A notice as text."""
    return " ".join([sender, *(marks if len(marks) <= MOST else [EVERYTHING])])


def read(payload: str) -> Notice:
    """The notice of a text."""
    name, *marks = payload.split()
    return Notice(name, None if EVERYTHING in marks else frozenset(marks))


class Notifier:
    """The thread that tells, and its connection. What cannot be told is found by looking."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], identity: str) -> None:
        self.sender = sender()
        self._connect = connect
        self._channel = channel_of(identity)
        self._lock = threading.Condition()
        self._marks: set[str] = set()
        self._last = 0.0
        self._thread: threading.Thread | None = None
        self._closed = False

    def notice(self, contexts: Collection[str]) -> tuple[str, list[str]] | None:
        """The statement, with its values, that tells it at once; None while there was a notice a moment ago."""
        now = time.monotonic()
        if not contexts or now < self._last + GATHER:
            return None
        self._last = now
        return _SEND, [self._channel, write(self.sender, [*map(context_mark, contexts)])]

    def tell(self, contexts: Iterable[str]) -> None:
        """Has it told that these contexts were written to."""
        with self._lock:
            idle = not self._marks
            self._marks.update(map(context_mark, contexts))
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._serve, name="chatstore-notifier", daemon=True)
                self._thread.start()
            elif idle:
                self._lock.notify()

    def close(self) -> None:
        """Tells what there is to tell, and ends the thread."""
        with self._lock:
            self._closed = True
            self._lock.notify()
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        conn: psycopg.Connection[Any] | None = None
        while marks := self._next():
            try:
                conn = conn or self._connect()
                self._last = time.monotonic()
                conn.execute(_SEND, [self._channel, write(self.sender, marks)])
            except psycopg.Error as error:
                _log.info("a notice could not be sent (%s); others see the change when they look", error)
                if conn is not None:
                    conn.close()
                conn = None
            time.sleep(GATHER)
        if conn is not None:
            with suppress(psycopg.Error):
                conn.close()

    def _next(self) -> set[str]:
        """The marks of what was committed since the last notice; empty in the end."""
        with self._lock:
            while not self._marks and not self._closed:
                self._lock.wait()
            marks, self._marks = self._marks, set()
            return marks

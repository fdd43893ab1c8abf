"""Telling other processes by NOTIFY that contexts were written to.

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
from typing import Any, Final

import psycopg

from chatstore.cursor import context_mark
from chatstore.wakers.notices import GATHER, sender, write

# A notice has nothing to be kept for: its own transaction need not wait for the disk.
_SEND: Final = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)"

_log = logging.getLogger(__name__)


def channel_of(identity: str) -> str:
    """The channel of a store's notices."""
    return f"chatstore_{identity}"


class Notifier:
    """The thread that tells, and its connection. What cannot be told is found by looking."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], identity: str) -> None:
        self.sender: str = sender()
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

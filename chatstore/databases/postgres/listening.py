"""Hearing what other processes tell: one LISTEN connection, proved before it is relied on."""

from __future__ import annotations

import logging
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import psycopg

from chatstore.databases.postgres.notifying import channel_of
from chatstore.wakers import Moved, Waker
from chatstore.wakers.bus import OFTEN, SELDOM
from chatstore.wakers.notices import read
from chatstore.wakers.poll import PollWaker

PROOF_SECONDS: Final = 2.0
"""How long a notice to ourselves may take before LISTEN is taken not to work."""
AGAIN, SELDOM_AGAIN = 5.0, 300.0
"""Seconds after which it is tried again where it may work later, at first and at most. Nothing is looked for while it
is tried, for up to CONNECT_SECONDS."""
CONNECT_SECONDS: Final = 2

_log = logging.getLogger(__name__)

Connect: TypeAlias = Callable[[], "psycopg.Connection[Any]"]


class NotHeard(Exception):
    """LISTEN does not work here."""


class Pooled(NotHeard):
    """And never will."""


class Listener:
    """Waits for notices, and says whose contexts were written to."""

    name = "listen"

    def __init__(self, connect: Connect, identity: str, own: str) -> None:
        self._own = own
        self._channel = channel_of(identity)
        self._conn = connect()
        self._nudged, self._nudges = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        try:
            if is_pooled(self._conn):
                raise Pooled("a pooler is in between")
            self._conn.execute(f'LISTEN "{self._channel}"')
            self._prove()
            self._nudged.setblocking(False)
            self._nudges.setblocking(False)
            self._selector.register(self._conn.fileno(), selectors.EVENT_READ)
            self._selector.register(self._nudged, selectors.EVENT_READ)
        except BaseException:
            self.close()
            raise

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return bool(self._conn.closed)

    def _prove(self) -> None:
        """Sends a notice to itself, which has to arrive."""
        self._conn.execute("SELECT pg_notify(%s, %s)", [self._channel, f"{self._own} proof"])
        for notice in self._conn.notifies(timeout=PROOF_SECONDS):
            if notice.payload == f"{self._own} proof":
                return
        raise NotHeard(f"a notice did not arrive within {PROOF_SECONDS:g} s")

    def wait(self, timeout: float, moved: Moved) -> bool:
        """Returns true once a notice came and was looked at; false after a nudge, or after the time."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            ready = [key.fileobj for key, _ in self._selector.select(left)]
            if self._nudged in ready:
                self._nudged.recv(4096)
                return False
            if ready and self._hear(moved):
                return True
        return False

    def _hear(self, moved: Moved) -> bool:
        notices = [read(one.payload) for one in self._conn.notifies(timeout=0)]
        foreign = [notice.marks for notice in notices if notice.sender != self._own]
        if not foreign:
            return False
        known = [marks for marks in foreign if marks is not None]
        return moved(frozenset().union(*known)) if len(known) == len(foreign) else moved()

    def nudge(self) -> None:
        """Ends the wait, or the next one."""
        try:
            self._nudges.send(b"!")
        except OSError:  # it was nudged often enough, or is closed: whoever waits looks again then anyway
            return

    def close(self) -> None:
        """Closes the connection."""
        self._selector.close()
        self._nudged.close()
        self._nudges.close()
        self._conn.close()


class Ear:
    """A store's LISTEN, where it works, and looking where it does not. That is said once, until it works again."""

    name = "listen"

    def __init__(self, listener: Callable[[], Listener], lost: Callable[[], None]) -> None:
        self._listener = listener
        self._lost = lost
        self._waker: Waker | None = None
        self._again: float | None = None
        self._pause = AGAIN
        self._said = False

    def open(self) -> Waker:
        """Begins to listen. What was tried before, while nothing could be reached, puts nothing off."""
        self._pause = AGAIN
        self._waker = self._listen()
        return self

    @property
    def hears(self) -> bool:
        """Whether LISTEN works."""
        return isinstance(self._waker, Listener)

    def wait(self, timeout: float, moved: Moved) -> bool:
        """As its waker does; what was told while it had none is found by looking, to which a wait that ends leads."""
        assert self._waker is not None
        if self._again is not None and time.monotonic() >= self._again:
            self._replace()
            return False
        try:
            return self._waker.wait(timeout, moved)
        except psycopg.Error as error:
            if not isinstance(self._waker, Listener) or not self._waker.lost:
                raise  # it is the one that looks
            _log.info("the connection that listens was lost (%s)", type(error).__name__)
            self._replace()
            return False

    def _replace(self) -> None:
        if self._waker is not None:
            self._waker.close()
        self._waker = self._listen()

    def _listen(self) -> Waker:
        self._again = None
        try:
            listener = self._listener()
        except (NotHeard, psycopg.OperationalError) as error:
            self._say(error)
            if not isinstance(error, NotHeard):
                self._lost()  # the others are as old, and each would be waited for as long
            if not isinstance(error, Pooled):
                self._again = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, SELDOM_AGAIN)
            return PollWaker(OFTEN, SELDOM)
        self._said, self._pause = False, AGAIN
        return listener

    def _say(self, error: Exception) -> None:
        away = "see that the server can be reached"
        advice = "give the URL of the database itself as listen_url=, or that of a NATS server as wake="
        _log.log(
            logging.DEBUG if self._said else logging.WARNING,
            "LISTEN does not work (%s), and changes of other processes are looked for instead; %s",
            str(error).strip().partition("\n")[0],
            advice if isinstance(error, NotHeard) else away,
        )
        self._said = True

    def nudge(self) -> None:
        """Ends the wait, or the next one."""
        if self._waker is not None:
            self._waker.nudge()

    def close(self) -> None:
        """Closes the connection."""
        waker, self._waker = self._waker, None
        if waker is not None:
            waker.close()


def is_pooled(conn: psycopg.Connection[Any]) -> bool:
    """Whether a pooler answers for the server: it makes up the number of the process that it says we talk to."""
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    return row is None or row[0] != conn.info.backend_pid

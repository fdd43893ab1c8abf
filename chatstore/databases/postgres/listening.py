"""Hearing what other processes tell: one LISTEN connection, proved before it is relied on."""

from __future__ import annotations

import logging
import os
import select
import time
from typing import Any, Final

import psycopg

from chatstore.databases.postgres.notifying import channel_of, read
from chatstore.wakers import Moved, Waker
from chatstore.wakers.poll import PollWaker

PROOF_SECONDS: Final = 2.0
"""How long a notice to ourselves may take before LISTEN is taken not to work."""
_OFTEN, _SELDOM = 0.02, 0.5
"""Seconds between looks where LISTEN does not work: after a commit, and once it has been quiet for some time."""

_log = logging.getLogger(__name__)


class Listener:
    """Waits for notices, and says whose contexts were written to."""

    name = "listen"

    def __init__(self, dsn: str, identity: str, own: str) -> None:
        self._own = own
        self._channel = channel_of(identity)
        self._conn: psycopg.Connection[Any] = psycopg.connect(
            dsn, autocommit=True, prepare_threshold=None, application_name="chatstore listen"
        )
        self._nudges = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            if is_pooled(self._conn):
                raise NotHeard("a pooler is in between")
            self._conn.execute(f'LISTEN "{self._channel}"')
            self._prove()
        except BaseException:
            self.close()
            raise

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
            ready = select.select([self._conn.fileno(), self._nudges], [], [], left)[0]
            if self._nudges in ready:
                os.eventfd_read(self._nudges)
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
        os.eventfd_write(self._nudges, 1)

    def close(self) -> None:
        """Closes the connection."""
        os.close(self._nudges)
        self._conn.close()


class NotHeard(Exception):
    """LISTEN does not work here."""


def listen(dsn: str, identity: str, own: str) -> Waker:
    """A listener, or where LISTEN does not work, what looks by itself."""
    try:
        return Listener(dsn, identity, own)
    except NotHeard as error:
        _log.warning(
            "LISTEN does not work (%s), and changes of other processes are looked for instead; give the URL of the"
            " database itself as listen_url=",
            error,
        )
        return PollWaker(_OFTEN, _SELDOM)


def is_pooled(conn: psycopg.Connection[Any]) -> bool:
    """Whether a pooler answers for the server: it makes up the number of the process that it says we talk to."""
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    return row is None or row[0] != conn.info.backend_pid

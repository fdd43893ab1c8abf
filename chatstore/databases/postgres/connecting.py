"""Connections: what each is told, and which are no good any more."""

from __future__ import annotations

import selectors
import time
from contextlib import closing
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

from chatstore.databases.postgres import arrays, text
from chatstore.databases.postgres.url import PostgresUrl

# A network may swallow what is sent without a word, and neither end would ever hear of it: after ten seconds in which
# nothing was confirmed a connection is given up, whether it waits for an answer or only listens.
SETTINGS: Final[dict[str, Any]] = {
    "application_name": "chatstore",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    "keepalives_idle": 4,
    "keepalives_interval": 3,
    "keepalives_count": 2,
    "tcp_user_timeout": 10_000,
}
# Every statement is written for loops along indexes. What its plan is must not depend on what the server believes of
# tables: one that it has not looked at yet it would read whole, to sort or hash it. Whoever is given a connection of a
# pooler's after us is left alone.
_PLANNING: Final = """SELECT set_config(name, 'off', false) FROM unnest(ARRAY[
'enable_bitmapscan', 'enable_hashjoin', 'enable_material', 'enable_mergejoin', 'enable_seqscan', 'jit'
]) AS name WHERE pg_backend_pid() = %s"""
FRESH: Final = 0.5
"""Seconds for which a new connection is not doubted."""
_MADE: Final = "chatstore_made"


def settings(url: PostgresUrl) -> dict[str, Any]:
    """What a connection is told where the URL does not say it itself."""
    return {name: value for name, value in SETTINGS.items() if name not in url.url.query}


def connect(url: PostgresUrl, **own: Any) -> psycopg.Connection[Any]:
    """A connection of its own, without transactions and prepared statements; `own`: settings of this one."""
    return psycopg.connect(url.dsn(), autocommit=True, prepare_threshold=None, **{**settings(url), **own})


def adapt(raw: Any) -> None:
    """Has a connection send and read what ours do."""
    text.register(raw)
    arrays.register(raw)


class Pooling:
    """Sees to the connections in pools: what is broken is replaced as it is taken out, without asking the server."""

    def __init__(self) -> None:
        self._broken_at = 0.0
        self._prepares = True
        self._closed = False

    def attend(self, engine: Engine) -> None:
        """Does so for an engine."""
        event.listen(engine, "connect", self._made)
        event.listen(engine, "checkout", self._check)
        event.listen(engine, "checkin", self._check_in)

    def forget(self) -> None:
        """All that were made until now are as broken as the one that failed."""
        self._broken_at = time.monotonic()

    def close(self) -> None:
        """From now on those of threads that are still out are closed as they come back: no pool waits for them."""
        self._closed = True

    def _check_in(self, connection: Any, _record: object) -> None:
        if self._closed and isinstance(connection, psycopg.Connection):
            connection.close()

    def prepare_nothing(self) -> None:
        """From now on no statement is prepared: each transaction may be given another connection of a pooler's."""
        self._prepares = False
        self.forget()

    def _made(self, connection: Any, record: Any) -> None:
        raw = getattr(connection, "driver_connection", connection)
        adapt(raw)
        if not self._prepares:
            raw.prepare_threshold = None
        with closing(connection.cursor()) as cursor:
            cursor.execute(_PLANNING, [raw.info.backend_pid])
        record.info[_MADE] = time.monotonic()

    def _check(self, connection: Any, record: Any, _proxy: object) -> None:
        raw = getattr(connection, "driver_connection", connection)
        made = record.info[_MADE]
        sound = made >= self._broken_at and raw.info.transaction_status == TransactionStatus.IDLE
        # Nothing was asked: if the server has something to say, it is good-bye.
        if not sound or (time.monotonic() - made > FRESH and _is_readable(raw)):
            raise DisconnectionError("the connection is broken")


def _is_readable(raw: Any) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(raw.fileno(), selectors.EVENT_READ)
        return bool(selector.select(0))

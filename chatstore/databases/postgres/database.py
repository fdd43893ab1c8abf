"""PostgreSQL as a store's database.

A transaction first takes a lock for each history that it will write to, all in one order, and only then gets its
number: so processes that write to the same histories never wait in a circle, and the store's log has the entries of
each in their order (see `statements`). What it sends goes out together, and waits for an answer where it needs one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import psycopg
from sqlalchemy import Connection, Engine, any_, bindparam, create_engine, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.pool import QueuePool

from chatstore.cursor import tombstone
from chatstore.databases.postgres import arrays, errors
from chatstore.databases.postgres.bus import ServerBus
from chatstore.databases.postgres.connecting import Pooling, settings
from chatstore.databases.postgres.listening import is_pooled
from chatstore.databases.postgres.opening import read_identity
from chatstore.databases.postgres.statements import PostgresStyle
from chatstore.databases.postgres.url import PostgresUrl, parse
from chatstore.errors import StoreReplaced
from chatstore.operations.histories import HISTORY_COLUMNS, History
from chatstore.operations.prepared import STYLE, Prepared, driver
from chatstore.schema import histories
from chatstore.wakers import Waker
from chatstore.wakers.bus import OFTEN, SELDOM, Bus
from chatstore.wakers.poll import PollWaker, SilentWaker

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from chatstore.databases.base import Known

_AT_EXIT = 0.2
"""Seconds that a process that ends waits for others."""
_LOOKS_EVERY = 0.75
_WATCHES_EVERY = 2.9
"""Together not two queries a second of a process in which nothing happens, with what a transaction in another database
of the server costs, now and then."""
_HOLDS_AT_ONCE = 100
"""The locks of a whole server are in one table of some 13,000 places, by default; who finds it full, fails."""
_LONGEST_PAUSE = "10s"
"""For how long a transaction may send nothing. It is over then: its client is dead or cut off, and it holds locks."""
_NAMES: Final = any_(bindparam("names", type_=ARRAY(histories.c.context_id.type)))
_NAMED: Final = histories.c.context_id == _NAMES
_HOLD: Final = Prepared(select(histories.c.context_id, *HISTORY_COLUMNS).where(_NAMED).with_for_update())
_HEADS: Final = Prepared(select(histories.c.context_id, histories.c.head).where(_NAMED))
_IDENTITY: Final = "SELECT value FROM {}.store_info WHERE name = 'identity'"
# By advisory locks, for a context that nobody wrote to yet has no row that could be locked.
_LOCK: Final = "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key"
_BEGIN: Final = (
    # `true`: for this transaction alone. Behind a pooler the next one on the connection may be somebody else's.
    "SELECT set_config('lock_timeout', %s, true), set_config('idle_in_transaction_session_timeout', %s, true),"
    " set_config('synchronous_commit', %s, true)"
)
_tombstone = lru_cache(maxsize=65_536)(tombstone)


def _lock_key(identity: str, context_id: str) -> int:
    # Keyed by the store: advisory locks are the database's, which may have several stores in several schemas. Two
    # contexts with one key only wait for each other.
    digest = blake2b(context_id.encode(), digest_size=8, key=identity.encode()).digest()
    return int.from_bytes(digest, signed=True)


class PostgresDatabase:
    """One open store on a server; see Database."""

    WAKERS: Final = ("listen", "poll", "none")

    path = None
    commits_wait = True
    holds_at_once = _HOLDS_AT_ONCE
    survived_by_writers = True
    survives_fork = True
    looks_every = _LOOKS_EVERY
    watches_every = _WATCHES_EVERY

    def __init__(
        self,
        url: PostgresUrl,
        *,
        busy_timeout: float,
        listen_url: str | None = None,
        make_bus: Callable[[str], Bus] | None = None,
    ) -> None:
        self.url = url
        self.location: str = str(url)
        self.patience: float = busy_timeout
        listens_at = url if listen_url is None else parse(listen_url)
        self._style = PostgresStyle(url.schema)
        self._pipeline: psycopg.Pipeline | None = None
        self._identity_of = _IDENTITY.format(url.schema)
        self._connect_args = settings(url)
        self._pooling = Pooling()
        self.readers: Engine = self._engine(size=8)
        self._writers = self._engine(size=1)
        self.identity: str = self._open()
        self._lock_key = lru_cache(maxsize=65_536)(partial(_lock_key, self.identity))
        self._bus = (make_bus or partial(ServerBus, url, listens_at, self._pooling.forget))(self.identity)

    def _open(self) -> str:
        """The store's identity."""
        try:
            with self.readers.connect() as conn:
                identity = read_identity(conn, self.url)
                pooled = is_pooled(driver(conn))
        except BaseException as error:
            self._disconnect()
            if isinstance(error, errors.DRIVER_ERRORS):
                raise errors.translate_opening(error, self.location) from error
            raise
        if pooled:
            self._pooling.prepare_nothing()
        return identity

    def _engine(self, *, size: int) -> Engine:
        engine = create_engine(
            self.url.engine_url(),
            isolation_level="AUTOCOMMIT",
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=2 * size,
            pool_timeout=max(self.patience, 1.0),
            pool_reset_on_return=None,  # there are no transactions, and one that is broken is found when it is taken
            connect_args=self._connect_args,
            execution_options={STYLE: self._style},
        )
        self._pooling.attend(engine)
        return engine

    def async_readers(self) -> AsyncEngine:
        """Connections to read from an event loop; they belong to that loop, and the caller disposes of them."""
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(
            self.url.engine_url(),
            isolation_level="AUTOCOMMIT",
            pool_size=8,
            max_overflow=16,
            pool_timeout=max(self.patience, 1.0),
            pool_reset_on_return=None,  # there are no transactions, and one that is broken is found when it is taken
            connect_args=self._connect_args,
            execution_options={STYLE: self._style},
        )
        self._pooling.attend(engine.sync_engine)
        return engine

    def writer(self) -> Connection:
        """The connection of the committer, who closes it."""
        return self._writers.connect()

    def begin(self, conn: Connection, *, synced: bool, patient: bool = True) -> bool:
        """Begins to send a transaction; nothing is waited for yet."""
        if not patient:
            return False
        raw = driver(conn)
        self._pipeline = raw.pipeline()
        self._pipeline.__enter__()
        raw.execute("BEGIN ISOLATION LEVEL READ COMMITTED")  # what is held is read as it is then
        timeout = f"{max(1, round(self.patience * 1000))}ms"
        raw.execute(_BEGIN, [timeout, _LONGEST_PAUSE, "on" if synced else "off"])
        return True

    def hold(self, conn: Connection, contexts: Iterable[str]) -> Known | None:
        """Locks the histories in one order, and reads them behind that, so that they are as the last writer left
        them."""
        names = sorted(contexts)
        if not names:
            return {}
        driver(conn).execute(_LOCK, [arrays.literal(sorted(map(self._lock_key, names)))])
        told = driver(conn).execute(self._identity_of)
        rows = _HOLD.all(conn, names=arrays.literal([*names, *map(_tombstone, names)]))
        self._check_identity(*(told.fetchone() or [None]))
        found = {name: History(*columns) for name, *columns in rows}
        return {name: found.get(name) or found.get(_tombstone(name)) for name in names}

    def commit(self, conn: Connection, contexts: Collection[str] = (), proof: object = None) -> None:
        """Sends the rest with the COMMIT and, right behind it, a notice if one is due; waits until it is committed."""
        raw = driver(conn)
        cursor = raw.execute("COMMIT")
        notice = self._bus.behind_commit(contexts)
        if notice is not None:
            raw.execute(*notice)
        try:
            self._leave_pipeline()
        except psycopg.Error:
            if cursor.statusmessage != "COMMIT":
                raise
            self._bus.tell(contexts)  # only the notice failed
        # A COMMIT behind a statement that failed is answered by ROLLBACK, and is no error.
        if cursor.statusmessage != "COMMIT":
            raise psycopg.errors.InFailedSqlTransaction(f"the transaction ended with {cursor.statusmessage}")
        if notice is None and contexts:
            self._bus.tell(contexts)

    def _leave_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.__exit__(None, None, None)

    def rollback(self, conn: Connection) -> None:
        """Ends the transaction, if one is open."""
        with suppress(psycopg.Error):  # what it was rolled back for
            self._leave_pipeline()
        driver(conn).rollback()

    def in_transaction(self, conn: Connection) -> bool:
        """Whether a transaction is open, or may be."""
        return bool(driver(conn).info.transaction_status != psycopg.pq.TransactionStatus.IDLE)

    def alone(self, conn: Connection) -> bool:
        """Nothing is remembered from one transaction to the next."""
        return False

    def answers(self, error: Exception) -> bool:
        """A connection that is lost says nothing of what became of a commit."""
        return not errors.is_lost(error)

    def heals(self, error: Exception) -> bool:
        """Whether the server may come back, or others were only faster."""
        if errors.is_lost(error):
            self._pooling.forget()
        return errors.heals(error)

    def hurry(self) -> None:
        """Waits hardly any more: the process ends."""
        self.patience = min(self.patience, _AT_EXIT)

    def wants_checkpoint(self) -> bool:
        """The server sees to its own log."""
        return False

    def checkpoint(self, conn: Connection) -> None:
        """Nothing to do."""

    def scrub(self, conn: Connection, patience: float | None = None) -> None:
        """Nothing that we could: rows are gone with the next vacuum, and the server's files are not ours."""

    def give_back(self, conn: Connection) -> None:
        """Nothing to do: autovacuum does."""

    def version(self, conn: Connection) -> object:
        """The server's snapshot: it is another one after every commit."""
        [(snapshot,)] = driver(conn).execute("SELECT pg_current_snapshot()::text").fetchall()
        return snapshot

    def moved(
        self, conn: Connection, contexts: Sequence[str], since: int | None
    ) -> tuple[dict[str, int] | None, int | None]:
        """The heads of all: the store's log says late what was committed early."""
        rows = _HEADS.all(conn, names=arrays.literal([*contexts, *map(_tombstone, contexts)]))
        return dict(rows), None

    def waker(self, wake: str) -> Waker:
        """What its bus hears, where it works."""
        if wake == "poll":
            return PollWaker(OFTEN, SELDOM)
        if wake == "none":
            return SilentWaker()
        return self._bus.waker()

    def is_in_place(self) -> bool:
        """A URL means the same for good."""
        return True

    def check_in_place(self, conn: Connection | None = None) -> None:
        """By the identity of the store that is there now; nothing can be told without a connection."""
        if conn is not None:
            self._check_identity(*(driver(conn).execute(self._identity_of).fetchone() or [None]))

    def _check_identity(self, found: str | None) -> None:
        if found != self.identity:
            raise StoreReplaced(
                f"the store at {self.location} was dropped, and another one was made in its place, while it was open;"
                " close it and open it again"
            )

    def translate(self, error: Exception) -> Exception:
        """The error of our tree for one of the driver's, with that as its cause; any other error as it is."""
        if not isinstance(error, errors.DRIVER_ERRORS):
            return error
        ours = errors.translate(error, self.location)
        ours.__cause__ = error
        return ours

    def close(self) -> None:
        """Closes the connections that no one has out."""
        self._bus.close()
        self._disconnect()

    def _disconnect(self) -> None:
        self._pooling.close()
        self.readers.dispose()
        self._writers.dispose()

"""SQLite: one file in WAL mode, written by one transaction at a time.

Every connection is in the driver's autocommit mode. A read is one statement, and so a consistent snapshot; writes
say BEGIN IMMEDIATE themselves, because a transaction that starts as a reader is refused when it turns writer
(https://www.sqlite.org/isolation.html).
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from chatstore.databases import sqlite_file
from chatstore.databases.sqlite_errors import DRIVER_ERRORS, translate
from chatstore.errors import StoreReplaced
from chatstore.operations.prepared import driver

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_READ_PRAGMAS = ("PRAGMA query_only=ON",)
# Apple's fsync does not reach the disk; the fullfsync pragmas do, and mean nothing anywhere else.
_WRITE_PRAGMAS = (
    "PRAGMA synchronous=NORMAL",
    "PRAGMA fullfsync=ON",
    "PRAGMA checkpoint_fullfsync=ON",
    "PRAGMA busy_timeout=0",
    f"PRAGMA wal_autocheckpoint={14_000_000 // sqlite_file.PAGE_SIZE}",  # for what `Transaction.pages` guesses too low
)
CHECKPOINT_AFTER = 9_000_000 // sqlite_file.PAGE_SIZE
"""Pages in the log after which they are copied into the database: the log is to stay below 16 MB, and every time costs
two syncs."""
_PAGES_GIVEN_BACK = 64
_FIRST_WAIT, _LONGEST_WAIT = 0.0001, 0.005


class SqliteDatabase:
    """One open SQLite store: connections to read, one to write, and the signs of other processes' commits."""

    def __init__(self, path: Path, *, create: bool, busy_timeout: float) -> None:
        self.path = path
        self.wal = sqlite_file.wal_of(path)
        self._busy_timeout = busy_timeout
        self.identity = sqlite_file.prepare(path, create=create)
        self._file = _file_of(path)
        self.readers = _engine(path, _READ_PRAGMAS)
        self._writers = _engine(path, _WRITE_PRAGMAS)
        self._synced = False
        self._version_before = 0

    def async_readers(self) -> AsyncEngine:
        """Connections to read from an event loop; they belong to that loop, and the caller disposes of them."""
        # It brings SQLAlchemy's ORM with it, a fifth of the time that importing chatstore takes.
        from sqlalchemy.ext.asyncio import create_async_engine

        engine = create_async_engine(
            _url("aiosqlite", self.path),
            isolation_level="AUTOCOMMIT",
            pool_size=4,
            max_overflow=4,
        )
        event.listen(engine.sync_engine, "connect", _setup(_READ_PRAGMAS))
        return engine

    def writer(self) -> Connection:
        """The connection of the committer, who closes it."""
        self._synced = False
        return self._writers.connect()

    def begin(self, conn: Connection, *, synced: bool, patient: bool = True) -> bool:
        """Takes the write lock; `synced`: the commit will return when it is on the disk. Raises StoreBusy when another
        process keeps the lock for the whole busy timeout; False when one has it, and it is not waited for.

        SQLite's own busy handler sleeps up to 100 ms between tries, and whoever came last may win; short sleeps of
        random length serve contending processes sooner and more evenly.
        """
        if synced != self._synced:  # SQLite takes it outside of transactions only
            run(conn, "PRAGMA synchronous=FULL" if synced else "PRAGMA synchronous=NORMAL")
            self._synced = synced
        deadline = time.monotonic() + self._busy_timeout
        wait = _FIRST_WAIT
        while True:
            try:
                run(conn, "BEGIN IMMEDIATE")
                return True
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or (patient and time.monotonic() > deadline):
                    raise
                if not patient:
                    return False
            time.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, _LONGEST_WAIT)

    def alone(self, conn: Connection) -> bool:
        """Whether no other connection has committed anything since it was asked last. Asked within a transaction."""
        before, self._version_before = self._version_before, self.version(conn)
        return before == self._version_before

    def commit(self, conn: Connection) -> None:
        """Commits: from here on the writes are visible, and safe from the death of any process."""
        run(conn, "COMMIT")

    def checkpoint(self, conn: Connection) -> None:
        """Copies the log into the database, as far as no reader needs the older pages; about 10 ms."""
        run(conn, "PRAGMA wal_checkpoint(PASSIVE)")

    def rollback(self, conn: Connection) -> None:
        """Ends the transaction, if one is open."""
        if self.in_transaction(conn):
            run(conn, "ROLLBACK")

    def in_transaction(self, conn: Connection) -> bool:
        """Whether a transaction is open."""
        return bool(driver(conn).in_transaction)

    def give_back(self, conn: Connection) -> None:
        """Shortens the file by some of the pages that are free, within the transaction that is open."""
        [(free,)] = driver(conn).execute("PRAGMA freelist_count").fetchall()
        for _ in range(min(free, _PAGES_GIVEN_BACK)):
            run(conn, "PRAGMA incremental_vacuum(1)")  # Python's driver runs it for one page, whatever it is told

    def version(self, conn: Connection) -> int:
        """A number that differs once another connection committed; comparable on one connection only, about 4 µs."""
        [(number,)] = driver(conn).execute("PRAGMA data_version").fetchall()
        return int(number)

    def is_in_place(self) -> bool:
        """Whether the file that was opened is still the one at the path."""
        return _file_of(self.path) == self._file

    def check_in_place(self) -> None:
        """Raises StoreReplaced if it is not."""
        if not self.is_in_place():
            raise StoreReplaced(f"{self.path} was removed or replaced while it was open; close it and open it again")

    def translate(self, error: Exception) -> Exception:
        """The error of our tree for one of the driver's, with that as its cause; any other error as it is."""
        if not isinstance(error, DRIVER_ERRORS):
            return error
        ours = translate(error, self.path)
        ours.__cause__ = error
        return ours

    def close(self) -> None:
        """Closes the connections that no one has out."""
        self.readers.dispose()
        self._writers.dispose()


def run(conn: Connection, statement: str) -> None:
    """Runs one of SQLite's own statements, which return nothing."""
    driver(conn).execute(statement)


def _file_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _url(driver: str, path: Path) -> URL:
    """A connection that never makes a file: what is gone is an error, and not an empty store."""
    query = {"mode": "rw", "uri": "true"}
    return URL.create(f"sqlite+{driver}", database=f"file:{quote(os.fsencode(path))}", query=query)


def _engine(path: Path, pragmas: tuple[str, ...]) -> Engine:
    engine = create_engine(
        _url("pysqlite", path),
        isolation_level="AUTOCOMMIT",
        poolclass=QueuePool,
        pool_size=8,
        max_overflow=64,
        connect_args={"check_same_thread": False, "cached_statements": 256},
    )
    event.listen(engine, "connect", _setup(pragmas))
    return engine


def _setup(pragmas: tuple[str, ...]) -> Any:
    def connect(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        cursor.close()

    return connect


def _primary_code(error: sqlite3.Error) -> int:
    return error.sqlite_errorcode & 0xFF

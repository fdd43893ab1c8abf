"""SQLite: one file in WAL mode, written by one transaction at a time.

Every connection is in the driver's autocommit mode. A read is one statement, and so a consistent snapshot; writes
say BEGIN IMMEDIATE themselves, because a transaction that starts as a reader is refused when it turns writer
(https://www.sqlite.org/isolation.html).
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from chatstore.databases import checkpoints, sqlite_file
from chatstore.databases.checkpoints import Checkpoints
from chatstore.databases.contents import Past
from chatstore.databases.files import StoreFiles
from chatstore.databases.guard import INDEXED, OPEN, LockGuard
from chatstore.databases.sqlite_errors import DRIVER_ERRORS, translate, translate_opening
from chatstore.errors import StoreBusy, StoreReplaced
from chatstore.operations import places
from chatstore.operations.prepared import driver
from chatstore.operations.transaction import Proof
from chatstore.wakers import LOOKS_EVERY, Waker, choose

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from chatstore.databases.base import Known

_READ_PRAGMAS = ("PRAGMA query_only=ON",)
# Apple's fsync does not reach the disk; the fullfsync pragmas do, and mean nothing anywhere else.
_WRITE_PRAGMAS = (
    "PRAGMA synchronous=NORMAL",
    "PRAGMA fullfsync=ON",
    "PRAGMA checkpoint_fullfsync=ON",
    # `_lock` waits, and sooner; so a commit that may not wait learns at once that it would have to.
    "PRAGMA busy_timeout=0",
    # By `checkpoints` alone, which says why.
    "PRAGMA wal_autocheckpoint=0",
    "PRAGMA secure_delete=ON",  # also for what is compacted or pruned: its pages are not looked at again
)
_PAGES_GIVEN_BACK = 64
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0001, 0.005
"""Seconds between two tries to take the lock."""
_AT_EXIT = 0.2
"""Seconds that a process that ends waits for the lock of another."""


class SqliteDatabase:
    """One open SQLite store; see Database."""

    commits_wait = False
    holds_at_once: int = sys.maxsize
    survived_by_writers = False
    survives_fork = False  # the child would take the locks of the parent for its own
    looks_every = LOOKS_EVERY
    watches_every: float = 0.4

    def __init__(self, path: Path, *, create: bool, busy_timeout: float) -> None:
        self.path = path
        self.location: str = str(path)
        self.wal: Path = sqlite_file.wal_of(path)
        self.patience: float = busy_timeout
        self._busy_timeout = busy_timeout
        self.identity: str = sqlite_file.prepare(path, create=create)
        with sqlite_file.reaching(path):
            # Before the first connection: SQLite's own locks could be dropped from the moment it takes them.
            self._guards = [LockGuard(path, OPEN, patience=busy_timeout)]
        self.readers: Engine = _engine(path, _READ_PRAGMAS)
        self._writers = _engine(path, (*_WRITE_PRAGMAS, f"PRAGMA journal_size_limit={checkpoints.LIMIT}"))
        self._past = Past(self.identity)
        self._synced = False
        self._version_before = 0
        try:
            with self.readers.connect() as conn, sqlite_file.reaching(path):
                self.version(conn)  # opens the log and its index, too
                index = LockGuard(path.with_name(f"{path.name}-shm"), INDEXED, patience=busy_timeout)
                self._guards.append(index)
                self._files = StoreFiles(path, index.copied)
        except BaseException as error:
            self._disconnect()
            if isinstance(error, DRIVER_ERRORS):
                raise translate_opening(error, path) from error
            raise
        self._checkpoints = Checkpoints(self._files, index, self._writers.connect, self._lock)
        event.listen(self.readers, "checkout", self._check_reader)

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
        event.listen(engine.sync_engine, "checkout", self._check_reader)
        return engine

    def writer(self) -> Connection:
        """The connection of the committer, who closes it."""
        self._synced = False
        return self._writers.connect()

    def begin(self, conn: Connection, *, synced: bool, patient: bool = True) -> bool:
        """Takes the write lock; `synced`: the commit will return when it is on the disk. Raises StoreBusy when another
        process keeps the lock for the whole busy timeout; False when one has it, and it is not waited for.
        """
        if synced != self._synced:  # SQLite takes it outside of transactions only
            run(conn, "PRAGMA synchronous=FULL" if synced else "PRAGMA synchronous=NORMAL")
            self._synced = synced
        if not self._lock(conn, patient=patient):
            return False
        # Under the lock: who has opened other files at this path cannot write to them as long as it shares our index.
        self._files.check_unless_lately()
        return True

    def hold(self, conn: Connection, contexts: Iterable[str]) -> Known | None:
        """The write lock holds everything."""
        return None

    def answers(self, error: Exception) -> bool:
        """What SQLite could not commit it has not."""
        return True

    def heals(self, error: Exception) -> bool:
        """What SQLite waits for, it was waited for already."""
        return False

    def moved(
        self, conn: Connection, contexts: Sequence[str], since: int | None
    ) -> tuple[dict[str, int] | None, int | None]:
        """Those in the store's log behind the place `since`: it is in the order of the commits here."""
        return (None, places.newest(conn)) if since is None else places.moved(conn, since)

    def waker(self, wake: str) -> Waker:
        """The waker of that name, or the best that works for the store's files."""
        return choose(wake, self.wal)

    def _lock(self, conn: Connection, statement: str = "BEGIN IMMEDIATE", *, patient: bool = True) -> bool:
        """SQLite's own busy handler sleeps up to 100 ms between tries, and the last to come may win; short sleeps of
        random length serve contending processes sooner and more evenly."""
        began, wait = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                run(conn, statement)
                return True
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or (
                    patient and time.monotonic() > began + self._busy_timeout
                ):
                    raise
                if not patient:
                    return False
            time.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(2 * wait, _LONGEST_PAUSE)

    def hurry(self) -> None:
        """Waits hardly any more for others: the process ends."""
        self._busy_timeout = min(self._busy_timeout, _AT_EXIT)

    def alone(self, conn: Connection) -> bool:
        """Whether no other connection has committed anything since it was asked last. Asked within a transaction."""
        before, self._version_before = self._version_before, self.version(conn)
        return before == self._version_before

    def commit(self, conn: Connection, contexts: Collection[str] = (), proof: Proof | None = None) -> None:
        """Commits: from here on the writes are visible, and safe from the death of any process. The files themselves
        tell others.

        Raises StoreReplaced when they went into a file that is not the store's any more; from then on `begin` does, so
        that they are not tried again.
        """
        run(conn, "COMMIT")
        self._past.committed(proof)
        self._files.check_after_commit()

    def wants_checkpoint(self) -> bool:
        """Whether the log was too long at the last commit."""
        return self._checkpoints.wanted()

    def checkpoint(self, conn: Connection) -> None:
        """Copies the log into the database, so that it can begin anew; about 4 ms. Not within a transaction."""
        self._checkpoints.run(conn)

    def scrub(self, conn: Connection, patience: float | None = None) -> None:
        """Builds the file anew and empties the log, so that nothing of what was deleted is left in either.

        SQLite overwrites what it deletes, but not the copies of it that stay behind in a page when it moves rows to
        another: only VACUUM leaves those out. It writes the whole store to the log, 1.3 s for 100 MB, in which nobody
        else can write; so it is not begun while somebody reads an older state, and would keep the log from ending.
        """
        self.empty_log(conn, patience)
        self._lock(conn, "VACUUM")
        self.empty_log(conn, patience)

    def empty_log(self, conn: Connection, patience: float | None = None) -> None:
        """Leaves nothing in the log. Raises StoreBusy where somebody reads an older state for so long."""
        patience = self._busy_timeout if patience is None else patience
        if not self._checkpoints.empty(conn, patience):
            raise StoreBusy(
                f"somebody has read from {self.path} for {patience:g} s, and its log cannot be emptied: what was erased"
                " is deleted, but bytes of it are left there; they are removed as soon as it can be"
            )

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
        return self._files.database_in_place()

    def check_in_place(self, conn: Connection | None = None) -> None:
        """Raises StoreReplaced if it is not, or its log is not, or they hold another store, or this one as it was once:
        restored by SQLite's own means. Then it does so for good."""
        self._files.check()
        if conn is not None and not self._past.goes_on(conn):
            self._files.refuse_overwritten()

    def _check_reader(self, *_: object) -> None:
        self._files.check()

    def translate(self, error: Exception) -> Exception:
        """The error of our tree for one of the driver's, with that as its cause; any other error as it is."""
        if not isinstance(error, DRIVER_ERRORS):
            return error
        ours: Exception
        try:
            self._files.check()  # what SQLite reports of files that are gone may be anything
            ours = translate(error, self.path)
        except StoreReplaced as replaced:
            ours = replaced
        ours.__cause__ = error
        return ours

    def close(self) -> None:
        """Closes the connections that no one has out."""
        if self._files.may_end_log():
            # Or else SQLite would find our own lock beside its last connection, and leave the log where it is.
            for guard in self._guards:
                guard.release()
        self._disconnect()

    def _disconnect(self) -> None:
        self.readers.dispose()
        self._writers.dispose()
        for guard in self._guards:
            guard.close()


def run(conn: Connection, statement: str) -> None:
    """Runs one of SQLite's own statements, which return nothing."""
    driver(conn).execute(statement)


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
    # SQLITE_BUSY has extended codes above its low byte, such as SQLITE_BUSY_RECOVERY while another process recovers the
    # log.
    return error.sqlite_errorcode & 0xFF

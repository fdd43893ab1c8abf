"""Checkpoints: SQLite's log is copied into the database, and begun anew by the next commit.

They are ours alone (`wal_autocheckpoint=0`), for two reasons. SQLite runs one within the commit that made the log too
long, which may be on an event loop. And versions with the WAL-reset bug can lose commits when one runs just as a
commit begins the log anew (see `versions`): there it runs under the write lock, which no commit of any process has
meanwhile, while a lock of SQLite's own keeps two checkpoints apart.

The log begins anew when all of it is copied and nobody reads from it. A reader can delay that, so the length of the
log is looked at, not what was done to shorten it. On disk it does not get shorter by itself; with
`journal_size_limit=LIMIT` it does, by the commit that begins it anew: a log that is longer than LIMIT has not begun
anew since it was.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from chatstore.databases.files import StoreFiles
from chatstore.databases.guard import READING, LockGuard
from chatstore.databases.versions import has_reset_bug
from chatstore.operations.prepared import driver

LIMIT = 2 << 20
"""Bytes of the log after which it is copied: about 4 ms, for which other writers wait where the bug is. A longer log
takes longer, and no less per byte."""
_BRAKES = ((12 << 20, 2.0), (6 << 20, 0.25))
"""Bytes of the log after which writers wait for readers, and for how many seconds."""
_PAUSE = 0.002
"""Seconds between two looks at who reads."""
_ONE_PAGE = 4096
"""Bytes; a log that holds one page of the database is shorter."""


class Checkpoints:
    """When to run one, and how. `connect` gives one more connection that writes, `lock` has it take the write lock."""

    def __init__(
        self,
        files: StoreFiles,
        index: LockGuard,
        connect: Callable[[], Connection],
        lock: Callable[..., bool],
    ) -> None:
        self._files = files
        self._index = index
        self._connect = connect
        self._lock = lock
        self._next = LIMIT
        self._alone = has_reset_bug(sqlite3.sqlite_version_info)

    def wanted(self) -> bool:
        """Whether the log was too long at the last commit of this process."""
        size = self._files.log_size
        if size <= LIMIT:
            self._next = LIMIT
        return size > self._next

    def run(self, conn: Connection) -> None:
        """Copies the log, as far as no reader needs older pages; waits for readers once it is far too long."""
        size = self._files.log_size
        self._next = max(LIMIT, size) + LIMIT // 2  # where readers are in the way, not at every commit
        patience = next((seconds for length, seconds in _BRAKES if size > length), None)
        if patience is None and not self._alone:
            _copy(conn)
            return
        # A second connection takes the write lock: on one that is in a transaction SQLite runs no checkpoint
        # (SQLITE_LOCKED).
        with self._connect() as other:
            if patience is not None:
                self._begin_anew(conn, other, time.monotonic() + patience)
            else:
                with self._locked(other, "ROLLBACK"):
                    _copy(conn)

    def empty(self, conn: Connection, patience: float) -> bool:
        """Leaves nothing on the disk of what the log held; False: somebody read from it for so many seconds.

        SQLite's own way, a checkpoint that truncates, goes on without the write lock when it does not get it.
        """
        deadline = time.monotonic() + patience
        with self._connect() as other:
            driver(other).execute("PRAGMA journal_size_limit=0")
            try:
                while True:
                    self._files.check()
                    before = self._files.log_size
                    self._begin_anew(conn, other, deadline)
                    self._files.check()
                    if self._files.log_size < max(before, _ONE_PAGE):
                        return True
                    if time.monotonic() > deadline:
                        return False
            finally:
                driver(other).execute(f"PRAGMA journal_size_limit={LIMIT}")

    def _begin_anew(self, conn: Connection, other: Connection, deadline: float) -> None:
        """Copies the log and, once nobody reads from it any more, has it begin anew by a commit that changes nothing.

        A reader that begins when all is copied reads the database alone. So does `other`, which takes the lock a second
        time for that: otherwise it would be a reader of the log itself.
        """
        with self._locked(other, "ROLLBACK"):
            while not _copy(conn) and time.monotonic() < deadline:
                time.sleep(_PAUSE)
        with self._locked(other, "COMMIT"):
            if not _copy(conn):
                return  # somebody was faster
            while self._index.held_by_others(READING):
                if time.monotonic() > deadline:
                    return
                time.sleep(_PAUSE)
            [(version,)] = driver(other).execute("PRAGMA user_version").fetchall()
            driver(other).execute(f"PRAGMA user_version={version}")

    @contextmanager
    def _locked(self, conn: Connection, end: str) -> Iterator[None]:
        """Keeps every other writer waiting, in this process and in others."""
        self._lock(conn)
        try:
            yield
            driver(conn).execute(end)
        finally:
            if driver(conn).in_transaction:
                driver(conn).execute("ROLLBACK")


def _copy(conn: Connection) -> bool:
    """Whether all of the log is in the database now."""
    # PASSIVE waits for nobody. The other modes hold the write lock while SQLite's busy handler waits for readers.
    [(_, length, copied)] = driver(conn).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    return bool(length == copied)

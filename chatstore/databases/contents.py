"""Whether the store is still the one that was opened, for it can be restored into the files that are there.

What SQLite restores comes as a commit of somebody else, after which the store is compared with what this process knows.
`cp backup chat.db` and a truncation keep the file's identity, and SQLite does not look again at pages that it has in
its cache or its log. So, whenever the file is another size or age than at the last look, it is read as it lies there,
without its log: through SQLite, in 0.2 ms. As a rule that was a checkpoint; one writes 2 MB.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import BigInteger, Connection, bindparam, cast, create_engine, func, select
from sqlalchemy.pool import NullPool

from chatstore.databases.guard import COPYING, LockGuard
from chatstore.databases.sqlite_errors import DRIVER_ERRORS, error_name
from chatstore.errors import StorageError
from chatstore.operations.prepared import Prepared
from chatstore.operations.retaining import PRUNED
from chatstore.operations.transaction import Proof
from chatstore.schema import changes, histories, store_info

_PATIENCE = 0.25
"""Seconds for which a file that does not read as it should may be one that is being written to."""
_PAUSE = 0.005
_OVERWRITTEN = ("SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR")
"""What SQLite says to a file that is not whole, or not ours: "no such table" is its SQLITE_ERROR."""

_IDENTITY = select(store_info.c.value).where(store_info.c.name == "identity").scalar_subquery()
_PRUNED = select(cast(store_info.c.value, BigInteger)).where(store_info.c.name == PRUNED).scalar_subquery()
_NEWEST = select(func.max(changes.c.id)).scalar_subquery()
_HEAD = select(histories.c.head).where(histories.c.id == bindparam("history")).scalar_subquery()
_FOUND = Prepared(select(_IDENTITY, func.max(func.coalesce(_NEWEST, 0), func.coalesce(_PRUNED, 0)), _HEAD))


class Found(NamedTuple):
    """Whose a store is, how far its log goes, and how far that of one history. Neither ever goes back: what retention
    removes is noted."""

    identity: str
    place: int
    head: int


def _find(conn: Connection, history: int = 0) -> Found | None:
    row = _FOUND.first(conn, history=history)
    return None if row is None or row[0] is None else Found(str(row[0]), int(row[1]), int(row[2] or 0))


class Past:
    """What this process knows to be committed: a store without it was restored from an older one, or is another."""

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._place = 0
        self._last: Proof | None = None

    def committed(self, proof: Proof | None) -> None:
        """Takes note of the last entry of a commit of our own."""
        self._last = proof or self._last

    def goes_on(self, conn: Connection) -> bool:
        """Whether all of it is there; asked when somebody else has committed."""
        place, last = self._place, self._last  # before it is read: another thread may commit meanwhile
        found = _find(conn, 0 if last is None else last.history_id)
        if found is None or found.identity != self._identity or found.place < place:
            return False
        self._place = found.place
        return last is None or found.head >= last.sequence


class Contents:
    """What the file held when it was last looked at."""

    def __init__(self, path: Path, identity: str, index: LockGuard, copy_log: Callable[[], bool]) -> None:
        """`copy_log`: copies the log into the file if nobody is in the way; whether it was done."""
        uri = f"file:{quote(os.fsencode(path))}?immutable=1"
        self._engine = create_engine(
            "sqlite+pysqlite://", creator=lambda: sqlite3.connect(uri, uri=True), poolclass=NullPool
        )
        self._identity = identity
        self._index = index
        self._copy_log = copy_log
        self._last: Found | None = None

    def go_on(self) -> bool:
        """Whether they are what they were, or newer. In doubt they are, until the next look.

        While the log is copied the file may be read half-way, and stay so when that fails or its process dies. Then
        the log is copied once more: if it reads as it should from then on, nothing was lost.
        """
        deadline, copied = time.monotonic() + _PATIENCE, False
        while True:
            still = not self._index.held_by_others(COPYING)
            try:
                found = self._read()
            except StorageError:
                return True
            if self._follows(found):
                if still and not self._index.held_by_others(COPYING):
                    self._last = found
                return True
            if time.monotonic() > deadline:
                return not still or (found is None and not copied)
            copied |= found is None and still and self._copy_log()
            time.sleep(_PAUSE)

    def _follows(self, found: Found | None) -> bool:
        """At first the file may be older than its log: another store, if this one was restored into it just before."""
        if found is None or self._last is None:
            return self._last is None
        if found.identity != self._last.identity:
            return found.identity == self._identity
        return found.place >= self._last.place

    def _read(self) -> Found | None:
        """None: it is no store. Raises StorageError where that cannot be told."""
        try:
            with self._engine.connect() as conn:
                return _find(conn)
        except DRIVER_ERRORS as error:
            if error_name(error).startswith(_OVERWRITTEN):
                return None
            raise StorageError("the file cannot be read now") from error

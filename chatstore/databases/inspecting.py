"""Looking at a store's file through a connection of its own, which takes whatever is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from chatstore.databases.backup import Progress
from chatstore.databases.sqlite import SqliteDatabase, run
from chatstore.databases.sqlite_errors import DRIVER_ERRORS, translate
from chatstore.errors import StorageError
from chatstore.operations.erasing import unfinished
from chatstore.operations.integrity.checking import CheckReport, StoreCheck
from chatstore.operations.prepared import driver
from chatstore.schema import metadata

_WHOLE = 64_000_000
"""Bytes up to which SQLite checks the file in one go, which takes a fifth of a second; else table by table, so that
each holds up checkpoints for a shorter time."""
_MOST_TOLD = 100


class Inspector:
    """A connection to a store's file. Text that is no UTF-8 comes with lone surrogates in it, and not as an error."""

    def __init__(self, path: Path, *, patience: float = 10.0) -> None:
        self._path = path
        self._engine = _engine(path, patience)
        with self._translated():
            self.conn: Connection = self._engine.connect()

    def __enter__(self) -> Inspector:
        return self

    def __exit__(self, *_: object) -> None:
        self.conn.close()

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """The connection within one read transaction."""
        with self._translated(), self._within("BEGIN", "COMMIT"):
            yield self.conn

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """The connection within one that writes; rolled back by an error, else committed and synced."""
        with self._translated(), self._within("BEGIN IMMEDIATE", "COMMIT"):
            yield self.conn

    @contextmanager
    def _within(self, begin: str, end: str) -> Iterator[None]:
        run(self.conn, begin)
        try:
            yield
            run(self.conn, end)
        finally:
            if driver(self.conn).in_transaction:
                run(self.conn, "ROLLBACK")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DRIVER_ERRORS as error:
            raise translate(error, self._path) from error

    def text(self, pragma: str) -> str:
        """What SQLite says to one of its pragmas."""
        with self._translated():
            [(value,)] = driver(self.conn).execute(f"PRAGMA {pragma}").fetchall()
        return str(value)

    def number(self, pragma: str) -> int:
        """The same, where it says a number."""
        return int(self.text(pragma))

    def own_findings(self) -> list[str]:
        """What SQLite finds wrong with the file, in its own words."""
        tables = [""] if self._path.stat().st_size <= _WHOLE else [f"('{name}')" for name in metadata.tables]
        found: list[str] = []
        for table in tables:
            with self._translated():
                rows = driver(self.conn).execute(f"PRAGMA integrity_check{table}").fetchall()
            found += [line for (text,) in rows for line in str(text).splitlines() if line != "ok"]
        return found[:_MOST_TOLD]


def check(database: SqliteDatabase, progress: Progress | None = None) -> CheckReport:
    """Looks at everything in a store that is open; see `ChatStore.check`."""
    database.check_in_place()
    with Inspector(database.path) as inspector:
        report = StoreCheck(inspector.snapshot, progress).run()
        database.check_in_place()
        with inspector.snapshot() as conn:
            erasing = unfinished(conn)
        left = [f"{erasing} contexts are being erased, and what they held is in it still"] if erasing else []
        return report.with_own([*left, *own_findings(inspector)])


def own_findings(inspector: Inspector) -> list[str]:
    """What SQLite finds wrong with the file, also where it cannot go through it."""
    try:
        return inspector.own_findings()
    except StorageError as error:
        return [str(error)]


def _engine(path: Path, patience: float) -> Engine:
    uri = f"{path.as_uri()}?mode=rw"
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, isolation_level=None, timeout=patience),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    event.listen(engine, "connect", _take_any_text)
    return engine


def _take_any_text(connection: sqlite3.Connection, _record: object) -> None:
    # What a repair removes is synced in a file of its own before; the repair itself is to be as safe.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA fullfsync=ON")
    connection.execute("PRAGMA wal_autocheckpoint=0")  # that is for those who have the store open
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")

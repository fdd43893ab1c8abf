"""Changing the format of a store's file, by the only process that has it open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from chatstore.databases.sqlite_errors import translate
from chatstore.databases.sqlite_file import check_version, format_of, stamp
from chatstore.errors import ChatStoreError, StoreBusy
from chatstore.schema import SCHEMA_VERSION

PATIENCE = 5.0
"""Seconds to wait for others to close the store."""


def upgrade(path: Path, run: Callable[[Connection, int], None]) -> tuple[int, int]:
    """Lets `run` bring a store from its format to this version's, all or nothing; the formats before and after."""
    old = format_of(path)
    if old >= SCHEMA_VERSION:
        check_version(old, path)
        return old, old
    with _alone(path) as conn:
        old = int(conn.exec_driver_sql("PRAGMA user_version").scalar_one())
        if old < SCHEMA_VERSION:
            run(conn, old)
            _set_format(conn, old)
    return old, SCHEMA_VERSION


def _set_format(conn: Connection, old: int) -> None:
    if old == 0:
        stamp(conn, SCHEMA_VERSION)  # it had no tables, and so no identity
    else:
        conn.exec_driver_sql(f"PRAGMA user_version={SCHEMA_VERSION}")


@contextmanager
def _alone(path: Path) -> Iterator[Connection]:
    """A transaction that starts only when no other connection is open, in this process or another.

    The write lock would not do: a process of the older version that has the store open would go on writing the
    older format afterwards. In WAL mode every open connection keeps a shared lock on the file, and the exclusive
    locking mode needs them all gone (https://www.sqlite.org/pragma.html#pragma_locking_mode).
    """
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        isolation_level="AUTOCOMMIT",
        poolclass=NullPool,
        connect_args={"timeout": PATIENCE},
    )
    try:
        with engine.connect() as conn:
            for statement in ("PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "BEGIN EXCLUSIVE"):
                conn.exec_driver_sql(statement)
            yield conn
            conn.exec_driver_sql("COMMIT")
    except SQLAlchemyError as error:
        raise _in_use(translate(error, path), path) from error


def _in_use(error: ChatStoreError, path: Path) -> ChatStoreError:
    if isinstance(error, StoreBusy):
        return StoreBusy(f"{path} is in use; close it in every process, then migrate again")
    return error

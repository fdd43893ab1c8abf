"""Backups: the whole store as it was at one moment, in a file of its own, while others go on writing.

SQLite's backup interface copies pages under one read snapshot: everything that was committed before it, nothing
that came after. While the snapshot is held the log cannot start over, so it grows by what is written meanwhile.

From that copy the tables are built anew, which nobody waits for: nothing that was deleted is in the pages of a backup,
nor anything of a context that is just being erased.

The copy is another store: it gets an identity of its own. A cursor from after the copy was made would otherwise be
taken, in a store restored from it, for a place that then holds something else.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection, Engine, create_engine, event, func, select, update
from sqlalchemy.pool import NullPool

from chatstore.cursor import IDENTITY_BYTES
from chatstore.databases import Location, locate_file
from chatstore.databases.placing import check_not_of_a_store, is_there, place
from chatstore.databases.sqlite import SqliteDatabase, run
from chatstore.databases.sqlite_errors import DRIVER_ERRORS, translate
from chatstore.databases.sqlite_file import wal_of
from chatstore.errors import InvalidInput, StorageError, StoreNotFound, StoreReadOnly, StoreReplaced
from chatstore.model import Model
from chatstore.operations import checksums, erasing
from chatstore.operations.prepared import driver
from chatstore.schema import histories, store_info

Progress: TypeAlias = Callable[[int, int], None]
"""Told how much is done, of how much: bytes of a backup, blocks of a check."""

_STEP = 1 << 20
"""Bytes copied between two calls of `progress`."""
_IDENTITY = store_info.c.name == "identity"


class BackupReport(Model):
    """What a backup holds: its path, its own identity, and how many contexts, blocks and bytes there are in it."""

    path: str
    identity: str
    contexts: int
    blocks: int
    bytes: int


def backup(
    database: SqliteDatabase, target: Location, *, overwrite: bool = False, progress: Progress | None = None
) -> BackupReport:
    """Copies a store to `target`; when this returns, the copy is whole, synced to the disk and in its place."""
    path = locate_file(target, "backup")
    database.check_in_place()
    _check_target(database.path, path, overwrite=overwrite)
    try:
        # A private directory gives the file its mode 0600 before there is anything in it to read.
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:100]}-", dir=path.parent) as directory:
            copied, new = Path(directory) / "copied.db", Path(directory) / "backup.db"
            _copy(database, copied, progress)
            database.check_in_place()
            _clean(copied, new, path)
            report = _renamed(new, path)
            new.chmod(0o600)
            _put(new, path, overwrite=overwrite)
    except FileNotFoundError as error:
        raise StoreNotFound(f"{path.parent} does not exist; make the directory first") from error
    except PermissionError as error:
        raise StoreReadOnly(f"no backup can be made at {path}: {error.strerror}") from error
    except OSError as error:
        raise StorageError(f"no backup could be made at {path}: {error.strerror or error}") from error
    return report


def _check_target(source: Path, target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        raise InvalidInput(f"{target} is a directory; name a file in it")
    if target == source or (target.exists() and target.samefile(source)):
        raise InvalidInput(f"{target} is the store itself; name another file for the backup")
    check_not_of_a_store(target)
    if target.exists() and not overwrite:
        raise is_there(target)
    # SQLite would take a log that is left there for the backup's own, and apply it to the file.
    for left in (wal_of(target), target.with_name(f"{target.name}-journal")):
        if left.exists():
            raise InvalidInput(
                f"{left} is there: {target.name} is open, or was not closed; close it, or name another file"
            )


def _copy(database: SqliteDatabase, new: Path, progress: Progress | None) -> None:
    source, target = _engine(database.path, "rw"), _engine(new, "rwc")
    try:
        with source.connect() as old, target.connect() as copy:
            # Nobody reads a half-written copy, so no journal is kept of what it was; its end is synced.
            run(copy, "PRAGMA journal_mode=OFF")
            run(copy, "PRAGMA synchronous=FULL")
            run(old, "PRAGMA query_only=ON")
            run(old, "BEGIN")
            # This read fixes the snapshot that all pages are copied from.
            identity = old.execute(select(store_info.c.value).where(_IDENTITY)).scalar_one()
            if identity != database.identity:
                raise StoreReplaced(f"{database.path} was replaced while it was open; close it and open it again")
            [(size,)] = driver(old).execute("PRAGMA page_size").fetchall()
            # Never by copying the file: without its log that lacks what was committed last, or all of it.
            driver(old).backup(driver(copy), pages=_STEP // size, progress=_told(progress, size))
            run(old, "ROLLBACK")
    except DRIVER_ERRORS as error:
        raise translate(error, new) if _is_full(error) else database.translate(error) from error


def _told(progress: Progress | None, size: int) -> Callable[[int, int, int], None] | None:
    if progress is None:
        return None
    return lambda _status, remaining, total: progress((total - remaining) * size, total * size)


def _is_full(error: Exception) -> bool:
    original = getattr(error, "orig", None) or error
    return getattr(original, "sqlite_errorname", "") == "SQLITE_FULL"


def _clean(copied: Path, new: Path, path: Path) -> None:
    """Builds the copy anew from what is left when all is removed that is being erased."""
    try:
        with _engine(copied, "rw").connect() as conn:
            while (purged := erasing.purge(conn)) is None:
                pass
            erasing.finish(conn, purged)
            # Not the copied file itself: what was deleted from it, or moved within it, is in its pages still.
            driver(conn).execute("VACUUM INTO ?", [str(new)])
        copied.unlink()
    except DRIVER_ERRORS as error:
        raise translate(error, path) from error


def _renamed(new: Path, path: Path) -> BackupReport:
    """Gives the copy its own identity, and leaves it without a log; what it holds."""
    identity = secrets.token_hex(IDENTITY_BYTES)
    try:
        with _engine(new, "rw").connect() as conn:
            run(conn, "PRAGMA synchronous=FULL")
            run(conn, "PRAGMA journal_mode=WAL")
            checksum = checksums.of_info("identity", identity)
            conn.execute(update(store_info).where(_IDENTITY).values(value=identity, checksum=checksum))
            contexts, blocks = _contents(conn)
            run(conn, "PRAGMA wal_checkpoint(TRUNCATE)")
    except DRIVER_ERRORS as error:
        raise translate(error, path) from error
    size = new.stat().st_size
    return BackupReport(path=str(path), identity=identity, contexts=contexts, blocks=blocks, bytes=size)


def _contents(conn: Connection) -> tuple[int, int]:
    kept = func.coalesce(func.sum(histories.c.count - histories.c.first_index), 0)
    contexts, blocks = conn.execute(select(func.count(), kept).where(histories.c.erased.is_(None))).one()
    return int(contexts), int(blocks)


def _put(new: Path, path: Path, *, overwrite: bool) -> None:
    place(new, path, overwrite=overwrite)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Makes sure that names made in a directory survive a power cut, where directories can be synced."""
    if sys.platform == "win32":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _engine(path: Path, mode: str) -> Engine:
    uri = f"{path.as_uri()}?mode={mode}"
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    event.listen(engine, "connect", lambda connection, _record: connection.execute("PRAGMA fullfsync=ON"))
    return engine

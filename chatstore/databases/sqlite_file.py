"""The store's file: made whole, recognised before it is touched.

A file of ours carries an application id, its format in `user_version`, and a random identity in `store_info`. All
of it is read through SQLite: opening the file by other means and closing it again would drop the locks that this
process holds on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
"""

from __future__ import annotations

import glob
import os
import secrets
import shlex
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, create_mock_engine, event, insert, select
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import ExecutableDDLElement

from chatstore import ids
from chatstore.cursor import IDENTITY_BYTES
from chatstore.databases.mounts import check_file_system
from chatstore.databases.sqlite_errors import DRIVER_ERRORS, translate_opening
from chatstore.errors import (
    NotAStore,
    OpenError,
    SchemaTooNew,
    SchemaTooOld,
    StorageError,
    StoreDamaged,
    StoreNotFound,
    StoreReadOnly,
)
from chatstore.operations import checksums
from chatstore.schema import SCHEMA_VERSION, metadata, store_info

APPLICATION_ID = 0x63687374
"""`chst`, in SQLite's header."""
PAGE_SIZE = 1024
"""Bytes. An append changes about seven pages, and the whole of each goes into the log: with pages of 4096 bytes, as
SQLite has them by default, it takes a fifth longer, and much longer when it is another context each time."""

_IDENTITY = select(store_info.c.value).where(store_info.c.name == "identity")


def prepare(path: Path, *, create: bool) -> str:
    """Makes sure that a store of this version is at `path`, made anew if there is nothing; its identity."""
    check_file_system(path)
    with reaching(path):
        if create and not path.exists():
            _create(path)
        _recognise(path, of_this_version=True)
    with _connected(path, "mode=ro") as conn:
        check_version(_format(conn, path), path)
        identity = conn.execute(_IDENTITY).scalar()
        has_log = conn.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    if identity is None:
        raise StoreDamaged(f"{path} has lost its identity; restore a backup")
    if not has_log:  # somebody took it away while nobody had the store open
        with _connected(path, "mode=rw") as conn:
            conn.exec_driver_sql("PRAGMA journal_mode=WAL")
    return str(identity)


@contextmanager
def reaching(path: Path) -> Iterator[None]:
    """Says which store it was that the operating system refused something for."""
    try:
        yield
    except PermissionError as error:
        raise StoreReadOnly(f"{path} cannot be reached by this process: {error.strerror}") from error
    except OSError as error:
        raise OpenError(f"{str(path)!a} cannot be reached: {error.strerror or error}") from error


def check_version(version: int, path: Path) -> None:
    """Refuses a store of another format, with what to do."""
    if version < SCHEMA_VERSION:
        raise SchemaTooOld(
            f"{path} has format {version}, this chatstore writes {SCHEMA_VERSION};"
            f" back it up, then run: chatstore migrate {shlex.quote(str(path))}"
        )
    if version > SCHEMA_VERSION:
        raise SchemaTooNew(
            f"{path} has format {version}, this chatstore knows up to {SCHEMA_VERSION}; upgrade chatstore"
        )


def format_of(path: Path) -> int:
    """The format of the store at `path`. Raises an OpenError where there is none."""
    check_file_system(path)
    _recognise(path)
    with _connected(path, "mode=ro") as conn:
        return _format(conn, path)


def _recognise(path: Path, *, of_this_version: bool = False) -> None:
    """Refuses what is no store of ours, and leaves no trace: even a read-only connection to a foreign database may
    leave an empty log beside it, an immutable one does not.

    An immutable connection takes no locks, though, and can see a store in the middle of a checkpoint. So it only
    ever says "not ours"; all else is left to a connection that does.
    """
    _check_file(path)
    with suppress(StorageError), _connected(path, "immutable=1") as conn:
        version = _format(conn, path)
        if of_this_version and not _has_content(wal_of(path)):  # a log may hold a newer version
            check_version(version, path)


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise StoreNotFound(f"there is no store at {path}") from None
    if stat.S_ISDIR(status.st_mode):
        raise NotAStore(f"{path} is a directory; name a file in it")
    if not stat.S_ISREG(status.st_mode):
        raise NotAStore(f"{path} is not a regular file")
    if status.st_size == 0:
        raise NotAStore(f"{path} is an empty file, not a store; remove it and it is made anew")
    if status.st_nlink > 1 and _has_other_names(path):
        raise OpenError(f"{path} has another name, a hard link; SQLite would keep one log for each: remove the other")
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        raise StoreReadOnly(f"{path} and its directory have to be writable: SQLite keeps its log beside the file")


def _has_other_names(path: Path) -> bool:
    """Apart from those that `_create` gives it for a moment, or left when it was killed."""
    made = 0
    for name in path.parent.glob(glob.escape(f".{path.name[:100]}-") + "*/*"):
        with suppress(FileNotFoundError):
            made += name.samefile(path)
    return path.stat().st_nlink - made > 1


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[Connection]:
    """A connection in one of the modes of SQLite's URIs (https://www.sqlite.org/uri.html)."""
    uri = f"file:{quote(os.fsencode(path))}?{mode}"
    engine = create_engine(
        "sqlite+pysqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10),
        poolclass=NullPool,
    )
    try:
        with engine.connect() as conn:
            yield conn
    except DRIVER_ERRORS as error:
        raise translate_opening(error, path) from error


def _format(conn: Connection, path: Path) -> int:
    if conn.exec_driver_sql("PRAGMA application_id").scalar() != APPLICATION_ID:
        raise NotAStore(f"{path} is another application's database; it was left as it is")
    return int(conn.exec_driver_sql("PRAGMA user_version").scalar_one())


def wal_of(path: Path) -> Path:
    """Where SQLite keeps the write-ahead log of a file."""
    return path.with_name(f"{path.name}-wal")


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _create(path: Path) -> None:
    """Makes a whole store beside the path, then links it there: no other process ever sees half of one.

    A process that loses the race to link it finds the winner's store, and uses that.
    """
    for left in (wal_of(path), path.with_name(f"{path.name}-journal")):
        if _has_content(left) and not path.exists():
            raise OpenError(f"{left} is left of a store that is gone; restore {path.name}, or move it away")
    try:
        # A private directory gives the file its mode 0600 before there is anything in it to read.
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:100]}-", dir=path.parent) as directory:
            new = Path(directory) / "new.db"
            # Its connection is closed by then, and so nothing of it is in a log that would have to move with it.
            _fill(new)
            new.chmod(0o600)
            # A link fails where there is a file by now, and a rename would take the place of who was faster.
            os.link(new, path)
    except FileExistsError:
        pass
    except FileNotFoundError as error:
        raise StoreNotFound(f"{path.parent} does not exist; make the directory first") from error
    except PermissionError as error:
        raise StoreReadOnly(f"no store can be made at {path}: {error.strerror}") from error
    except DRIVER_ERRORS as error:
        raise translate_opening(error, path) from error


def _fill(path: Path) -> None:
    engine = create_engine(URL.create("sqlite+pysqlite", database=str(path)), poolclass=NullPool)
    event.listen(engine, "connect", _begin_by_hand)
    with engine.connect() as conn:
        # In this order: both of the first cannot be changed once there is a table without a VACUUM, and the size not at
        # all in WAL mode (https://www.sqlite.org/pragma.html#pragma_page_size).
        for pragma in (f"page_size={PAGE_SIZE}", "auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=FULL"):
            conn.exec_driver_sql(f"PRAGMA {pragma}")
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        for statement in _schema():
            conn.exec_driver_sql(statement)
        stamp(conn, SCHEMA_VERSION)
        conn.exec_driver_sql("COMMIT")
    engine.dispose()


@cache
def _schema() -> tuple[str, ...]:
    """What makes the tables and indexes, compiled once: to compile it takes longer than to make a store."""
    found: list[ExecutableDDLElement] = []
    engine = create_mock_engine("sqlite://", lambda element, *_: found.append(element))
    metadata.create_all(engine, checkfirst=False)
    return tuple(str(element.compile(dialect=engine.dialect)) for element in found)


def stamp(conn: Connection, version: int) -> None:
    """Marks a database as ours and of this format; gives it an identity and a birthday."""
    conn.execute(
        insert(store_info),
        [
            {"name": name, "value": value, "checksum": checksums.of_info(name, value)}
            for name, value in (("identity", secrets.token_hex(IDENTITY_BYTES)), ("created_at", str(ids.now())))
        ],
    )
    conn.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
    conn.exec_driver_sql(f"PRAGMA user_version={version}")


def _begin_by_hand(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
